"""Training a set of readers: record activations, fit on each layer, choose the best in validation, write the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from telic.errors import ConfigError, UnsupportedControlError
from telic.models.base import Model
from telic.models.local import LocalModel
from telic.progress import Phase, ProgressCallback, ProgressTracker, track
from telic.readers.attributes import Attribute, Subject, find_attribute, opposite
from telic.readers.card import reader_card
from telic.readers.config import EvaluationConfig, ReaderTrainingConfig
from telic.readers.evaluation import evaluate_readers
from telic.readers.evaluation_items import load_natural_items
from telic.readers.examples import (
    ReaderExample,
    RecordedExamples,
    persona_examples,
    record_examples,
    third_person_examples,
    user_examples,
)
from telic.readers.linear_probe import (
    UNKNOWN,
    choose_penalty,
    choose_temperature,
    choose_threshold,
    fit_linear_probe,
)
from telic.readers.reader import Reader, ReaderSet
from telic.readers.recording import ActivationCache, require_hidden_states
from telic.steering.belief import Belief
from telic.steering.directions import directions_of_probe
from telic.steering.saving import Origin, save_pretrained

__all__ = ["TrainedReaders", "fit_pins", "fit_reader", "train_readers"]

PIN_PENALTY = 0.3
"""Penalty of the probes whose weights serve as directions."""


@dataclass(frozen=True)
class TrainedReaders:
    """Trained readers, and the control that pins their classes."""

    readers: ReaderSet
    pins: Belief

    def save(self, folder: str | Path) -> Path:
        """Write both into a folder, the pins into `pins/` in it.

        Raises:
            ConfigError: the folder cannot be written.
        """
        save_pretrained(self.pins, Path(folder) / "pins")
        return self.readers.save(folder)


def train_readers(
    model: Model,
    data: str | Path,
    *,
    config: ReaderTrainingConfig | None = None,
    cache: Path | None = None,
    progress: bool | ProgressCallback = False,
) -> TrainedReaders:
    """Train readers of a model's beliefs on conversations in TalkTuner's format (arXiv 2406.07882).

    Args:
        model: a model that runs locally.
        data: the folder with `age.jsonl`, `gender.jsonl`, `education.jsonl` and `socioeco.jsonl`.
        config: the settings.
        cache: a folder for the recorded activations; an interrupted training continues from it.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every step.

    Raises:
        UnsupportedControlError: the model gives no access to its hidden states.
        DataError: the conversations cannot be read.
        ConfigError: an attribute is unknown, or a class has too few conversations.
    """
    model, config = _require_local(model), config or ReaderTrainingConfig()
    attributes = [find_attribute(name) for name in config.attributes]
    with track(progress) as tracker:
        phases = [
            Phase("writing personas", "attributes", len(attributes), weight=10),
            Phase("recording", "dialogues"),
            Phase("fitting", "readers", len(attributes) * len(config.subjects), weight=10),
            *([Phase("evaluating", "dialogues")] if config.natural else []),
        ]
        tracker.start(phases=phases)
        trained = _train_readers(model, Path(data), attributes, config, cache, tracker)
        return _evaluate(model, trained, config, tracker) if config.natural else trained


def _evaluate(
    model: LocalModel, trained: TrainedReaders, config: ReaderTrainingConfig, tracker: ProgressTracker
) -> TrainedReaders:
    """Add the figures on natural messages to the card."""
    tracker.begin("evaluating")
    settings = EvaluationConfig(seed=config.seed, resamples=config.resamples)
    natural = evaluate_readers(model, trained.readers, load_natural_items(), settings, tracker.reach)
    return replace(trained, readers=replace(trained.readers, card={**trained.readers.card, "natural": natural}))


def _train_readers(
    model: LocalModel,
    data: Path,
    attributes: Sequence[Attribute],
    config: ReaderTrainingConfig,
    cache: Path | None,
    tracker: ProgressTracker,
) -> TrainedReaders:
    tracker.begin("writing personas")
    examples: dict[str, list[ReaderExample]] = {}
    for attribute in attributes:
        own = user_examples(model, data, attribute, config)
        examples[attribute.name] = own + persona_examples(model, attribute, config, cache)
        tracker.advance()
    pairs = {a.name: third_person_examples(a) for a in attributes}
    activations = ActivationCache(cache)
    every = [example for found in (examples, pairs) for own in found.values() for example in own]
    tracker.begin("recording")
    record_examples(model, every, activations, tracker.reach)
    tracker.begin("fitting")
    readers: list[Reader] = []
    cards: dict[str, object] = {}
    directions: dict[str, Mapping[int, torch.Tensor]] = {}
    for attribute in attributes:
        recorded = RecordedExamples.of(model, examples[attribute.name], activations)
        mentions = RecordedExamples.of(model, pairs[attribute.name], activations)
        for subject in config.subjects:
            reader, penalty = fit_reader(recorded, attribute, subject, config.precision)
            readers.append(reader)
            cards[reader.name] = reader_card(reader, penalty, recorded, mentions, config)
            directions |= fit_pins(recorded, attribute, subject)
            tracker.advance()
    origin = Origin.of(model)
    card = {"config": config.model_dump(mode="json"), "readers": cards}
    return TrainedReaders(ReaderSet(tuple(readers), origin, card), Belief(directions, origin=origin))


def _require_local(model: Model) -> LocalModel:
    require_hidden_states(model)
    if not isinstance(model, LocalModel):
        raise UnsupportedControlError(
            f"readers are trained on a LocalModel, and {model.name!r} is a {type(model).__name__}; pass one, for "
            'example telic.load("smollm2")'
        )
    return model


def fit_reader(
    recorded: RecordedExamples, attribute: Attribute, subject: Subject, precision: float
) -> tuple[Reader, float]:
    """Fit on every layer after the first third; choose layer, penalty, temperature and threshold in validation only.

    The first third is left out because it encodes words rather than their meaning: probes on it are as accurate on
    similar conversations, but not on sentences in another style (`own` on the card).

    The threshold is chosen on the other subject's dialogues too, where every answer is wrong.

    Returns:
        The reader, and the chosen penalty.

    Raises:
        ConfigError: a class has no example to train on, or none to validate on.
    """
    training, checking = (recorded.select(subject=subject, part=part) for part in ("train", "validation"))
    classes = len(attribute.classes)
    for part, own in (("train", training), ("validation", checking)):
        if len(set(own.labels.tolist())) < classes:
            raise ConfigError(
                f"some of the {classes} classes of {attribute.name} have no conversation to {part} on; use more "
                "(--per-class), or check whether all conversations of a class are in one group of similar ones"
            )
    tried = []
    depth = recorded.states_N_P_L_D.shape[2]
    for layer in range(depth // 3, depth):
        parts = [(own.beliefs(subject, layer), own.labels) for own in (training, checking)]
        tried.append((*choose_penalty(parts[0], parts[1], classes), layer))
    _, penalty, linear_probe, layer = min(tried, key=lambda one: one[0])
    logits_N_C = linear_probe.logits(checking.beliefs(subject, layer))
    temperature = choose_temperature(logits_N_C, checking.labels)
    other = recorded.select(subject=opposite(subject), part="validation")
    threshold = choose_threshold(
        np.concatenate([logits_N_C, linear_probe.logits(other.beliefs(subject, layer))]),
        np.concatenate([checking.labels, np.full(len(other.examples), UNKNOWN)]),
        temperature,
        precision,
    )
    suffix = attribute.suffix(subject)
    return Reader(
        attribute.name, subject, attribute.classes, suffix, layer, linear_probe, temperature, threshold
    ), penalty


def fit_pins(
    recorded: RecordedExamples, attribute: Attribute, subject: Subject
) -> dict[str, Mapping[int, torch.Tensor]]:
    """Fit directions that move the model's belief towards a class: weights of probes on the prompt's last token.

    Returns:
        Directions by `reader/class` and layer, at the middle layers (0.4 to 0.7 of the depth), each as long as the
        states' standard deviation along it.
    """
    training = recorded.select(subject=subject, part="train")
    depth = recorded.states_N_P_L_D.shape[2]
    first = int(0.4 * depth)
    found: list[dict[int, torch.Tensor]] = [{} for _ in attribute.classes]
    for layer in range(first, max(int(0.7 * depth), first + 1)):
        states_N_D = training.prompts(layer)
        linear_probe = fit_linear_probe(states_N_D, training.labels, len(attribute.classes), PIN_PENALTY)
        for own, weight_D in zip(found, linear_probe.weight_C_D, strict=True):
            own |= directions_of_probe({layer: torch.from_numpy(weight_D)}, {layer: torch.from_numpy(states_N_D)})
    return {f"{subject}_{attribute.name}/{label}": own for label, own in zip(attribute.classes, found, strict=True)}
