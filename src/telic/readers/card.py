"""A reader's card: its accuracy on unseen groups of conversations, and that of simpler explanations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from telic.readers.attributes import opposite
from telic.readers.config import ReaderTrainingConfig
from telic.readers.examples import RecordedExamples
from telic.readers.linear_probe import Floats, fit_linear_probe
from telic.readers.reader import Reader
from telic.readers.words import BagOfWords
from telic.statistics import Interval, bootstrap_grouped

__all__ = ["reader_card"]

SHUFFLES = 5
"""How many times the labels are shuffled."""


def reader_card(
    reader: Reader, penalty: float, recorded: RecordedExamples, mentions: RecordedExamples, config: ReaderTrainingConfig
) -> dict[str, Any]:
    """Measure a reader for its card. Intervals are 95 % bootstrap intervals over groups of conversations.

    - `accuracy`: share of the test conversations whose class is the most likely, at the last turn read; `first_turns`:
      at an earlier turn.
    - `known`: share that is not unknown; `accuracy_known`: share of those that is right.
    - `shuffled`: accuracy of the same probe trained on shuffled labels.
    - `bag_of_words`: accuracy of a classifier of the same dialogues' words; `gain`: the reader's accuracy minus that,
      paired.
    - `cross`: accuracy on dialogues in which only the other subject (the model itself, or the user) has the attribute;
      `cross_known`: the share of these whose reading is known. At `chance` the reader does not confuse the two.
    - `own` and `mentioned`, for readers of the user: how often a sentence of the user is read as its class if it is
      about the user, and if it is about somebody else. The latter should be at `chance`.

    Args:
        reader: the reader.
        penalty: the penalty that it was fitted with.
        recorded: examples of its attribute, of both subjects and all parts of the split.
        mentions: pairs of sentences about the user and about somebody else.
        config: the settings.
    """
    figures = _figures(reader, penalty, recorded, config)
    for part in ("own", "mentioned") if reader.subject == "user" else ():
        pairs = mentions.select(part=part)
        figures[part] = _rate(pairs, _right(reader, pairs), config)
    examples = recorded.select(subject=reader.subject).examples
    return {
        "layer": reader.layer,
        "penalty": penalty,
        "temperature": reader.temperature,
        "threshold": reader.threshold,
        "conversations": dict(Counter(example.part for example in examples if example.last)),
        "chance": 1 / len(reader.classes),
        **{name: asdict(interval) for name, interval in figures.items()},
    }


def _figures(
    reader: Reader, penalty: float, recorded: RecordedExamples, config: ReaderTrainingConfig
) -> dict[str, Interval]:
    """Compute the figures on conversations."""
    mine = recorded.select(subject=reader.subject)
    training, test = mine.select(part="train"), mine.select(part="test", last=True)
    early = mine.select(part="test", last=False)
    other = recorded.select(subject=opposite(reader.subject), part="test", last=True)
    right, known = _right(reader, test), _known(reader, test)
    words = _words(training, mine.select(part="validation"), test, len(reader.classes))
    return {
        "accuracy": _rate(test, right, config),
        "first_turns": _rate(early, _right(reader, early), config),
        "known": _rate(test, known, config),
        "accuracy_known": _rate(test, [r if k else None for r, k in zip(right, known, strict=True)], config),
        "shuffled": _rate(test, _shuffled(reader, penalty, training, test, config.seed), config),
        "bag_of_words": _rate(test, words, config),
        "gain": _rate(test, [a - b for a, b in zip(right, words, strict=True)], config, low=-1.0),
        "cross": _rate(other, _right(reader, other), config),
        "cross_known": _rate(other, _known(reader, other), config),
    }


def _right(reader: Reader, data: RecordedExamples) -> list[float]:
    """Return 1 for each example whose most likely class is the true one, else 0."""
    logits_N_C = reader.logits(data.beliefs(reader.subject, reader.layer))
    return _hits(logits_N_C, data)


def _known(reader: Reader, data: RecordedExamples) -> list[float]:
    readings = reader.read(data.beliefs(reader.subject, reader.layer))
    return [float(reading.answer is not None) for reading in readings]


def _hits(logits_N_C: Floats, data: RecordedExamples) -> list[float]:
    return [float(hit) for hit in logits_N_C.argmax(1) == data.labels]


def _shuffled(
    reader: Reader, penalty: float, training: RecordedExamples, test: RecordedExamples, seed: int
) -> list[float]:
    """Return the mean hits of probes that were trained on labels shuffled among the conversations."""
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(example.conversation for example in training.examples))
    label_of = {example.conversation: example.label for example in training.examples}
    states_N_D = training.beliefs(reader.subject, reader.layer)
    hits = []
    for _ in range(SHUFFLES):
        drawn = dict(zip(names, rng.permutation([label_of[name] for name in names]).tolist(), strict=True))
        labels_N = np.array([drawn[example.conversation] for example in training.examples], dtype=np.intp)
        linear_probe = fit_linear_probe(states_N_D, labels_N, len(reader.classes), penalty)
        hits.append(_hits(linear_probe.logits(test.beliefs(reader.subject, reader.layer)), test))
    return [float(mean) for mean in np.mean(hits, axis=0)]


def _words(
    training: RecordedExamples, validation: RecordedExamples, test: RecordedExamples, classes: int
) -> list[float]:
    """Return the hits of a classifier of the same dialogues' words."""
    parts = [([example.text for example in data.examples], data.labels) for data in (training, validation)]
    bag = BagOfWords(parts[0], parts[1], classes)
    return _hits(bag.probabilities([example.text for example in test.examples]), test)


def _rate(
    data: RecordedExamples, values: Sequence[float | None], config: ReaderTrainingConfig, low: float = 0.0
) -> Interval:
    """Compute the mean over the conversations; whole groups are resampled."""
    groups = [example.group for example in data.examples]
    return bootstrap_grouped(values, groups, bounds=(low, 1.0), resamples=config.resamples, seed=config.seed)
