"""Recording of training texts: the tokens of each dialogue, and the state at its end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from telic.dialogue import Dialogue
from telic.models.local import LocalModel
from telic.models.session import Session
from telic.readers.attributes import Attribute, Subject, find_attribute
from telic.readers.config import ReaderTrainingConfig
from telic.readers.conversations import (
    group_similar,
    read_talktuner,
    sample_conversations,
    split_conversations,
    truncate_conversation,
)
from telic.readers.linear_probe import LEFT_OUT, Labels
from telic.readers.material import TextPart
from telic.readers.recording import ActivationCache, Halves, example_key, record_dialogues
from telic.readers.training_texts import LabelledDialogue, generated_dialogues, texts_about_others, written_dialogues

__all__ = [
    "OnProgress",
    "RecordedTexts",
    "pin_layers",
    "record_texts",
    "training_texts",
    "value_layers",
]

OnProgress = Callable[[int, int], None]
"""Called with the number of dialogues recorded, and of all dialogues."""
BATCH = 32
"""Dialogues that are recorded in one batch, and kept in one file."""
VALIDATION = 200
"""Generated dialogues for validation, if there are not fewer for training."""


def value_layers(depth: int) -> list[int]:
    """List the layers whose values readers see: every third one."""
    return list(range(2, depth, 3)) or [depth - 1]


def pin_layers(depth: int) -> list[int]:
    """List the layers that get directions for pins: every other one in the middle (0.4 to 0.7 of the depth)."""
    return [layer for layer in range(depth) if 0.4 * depth - 1 <= layer <= 0.7 * depth][::2] or [0]


def training_texts(model: LocalModel, data: Path | None, config: ReaderTrainingConfig) -> list[LabelledDialogue]:
    """Collect the texts of both parts: written, generated, and TalkTuner's conversations if there are some.

    Raises:
        DataError: `data` is no folder of conversations in TalkTuner's format.
    """
    counts: dict[TextPart, int] = {"train": config.texts, "validation": min(config.texts, VALIDATION)}
    found: list[LabelledDialogue] = []
    for part, count in counts.items():
        found += _drawn(written_dialogues(part), config) + generated_dialogues(part, count, config.seed)
    found += texts_about_others("train", config.texts, config.seed)
    if data is not None:
        for name in config.attributes:
            found += _conversations(model, data, find_attribute(name), config)
    return found


def _drawn(written: list[LabelledDialogue], config: ReaderTrainingConfig) -> list[LabelledDialogue]:
    """Draw as many of the messages written by hand as are asked for."""
    if config.messages is None or config.messages >= len(written):
        return written
    return random.Random(config.seed).sample(written, config.messages)


def _conversations(
    model: LocalModel, folder: Path, attribute: Attribute, config: ReaderTrainingConfig
) -> list[LabelledDialogue]:
    """Make texts of TalkTuner's conversations. Each tells one attribute of the user; others are not known."""

    def count(dialogue: Dialogue) -> int:
        return len(model.render(dialogue).token_ids)

    unsure: dict[str, str | None] = {f"user_{name}": None for name in config.attributes}
    every = split_conversations(group_similar(read_talktuner(folder / attribute.file, attribute)), config.seed)
    return [
        LabelledDialogue(
            truncate_conversation(c, config.max_tokens, count, config.seed)[-1],
            {**unsure, f"user_{attribute.name}": c.label},
            "TalkTuner",
            c.part,
        )
        for c in sample_conversations(every, config.per_class, config.seed)
        if c.part != "test"
    ]


def record_texts(
    model: LocalModel,
    texts: Sequence[LabelledDialogue],
    cache: ActivationCache,
    on_progress: OnProgress | None = None,
) -> None:
    """Record the texts that the cache lacks, those of similar length together.

    Args:
        model: reads the dialogues.
        texts: what to record.
        cache: has what was recorded before, and gets the rest.
        on_progress: called with the number of dialogues recorded now, and of all that the cache lacked.

    Raises:
        ModelError: a dialogue does not fit in the context.
    """
    by_key = {_keys(model, text): text for text in texts}
    lacking = sorted((keys for keys in by_key if keys[0] not in cache), key=lambda keys: len(by_key[keys].text))
    layers = value_layers(model.layers), pin_layers(model.layers)
    opening = _opening(model)
    for start in range(0, len(lacking), BATCH):
        batch = lacking[start : start + BATCH]
        sessions = [opening.fork() for _ in batch]
        for session, keys in zip(sessions, batch, strict=True):
            session.dialogue = by_key[keys].dialogue
        recorded = record_dialogues(sessions, layers[0], state_layers=layers[1])
        found = [(one.features_T_F, one.states_L_D) for one in recorded]
        cache.add(
            {key: own for keys, pair in zip(batch, found, strict=True) for key, own in zip(keys, pair, strict=True)}
        )
        if on_progress is not None:
            on_progress(start + len(batch), len(lacking))


def _opening(model: LocalModel) -> Session:
    """Read what begins most dialogues, such as a system prompt of the template's own, so that it is read once."""
    session = model.session().user("Hello")
    record_dialogues([session], value_layers(model.layers))
    return session


def _keys(model: LocalModel, text: LabelledDialogue) -> tuple[str, str]:
    """Make the keys of a text's tokens, and of the state at its end."""
    tokens, state = (example_key(model.name, text.dialogue, [part]) for part in ("tokens", "state"))
    return tokens, state


@dataclass(frozen=True)
class RecordedTexts:
    """Texts, and their recorded activations."""

    texts: Sequence[LabelledDialogue]
    features_N: Sequence[Halves]
    """By text: the features of its tokens, [T, F]."""
    states_N_L_D: Halves
    """The residual stream at the prompt's end, after the layers of pins."""

    @classmethod
    def of(cls, model: LocalModel, texts: Sequence[LabelledDialogue], cache: ActivationCache) -> RecordedTexts:
        """Load the texts' activations from the cache."""
        keys = [_keys(model, text) for text in texts]
        features_N, states_N = (cache.load(own) for own in zip(*keys, strict=True))
        return cls(texts, features_N, np.stack(states_N))

    def part(self, part: TextPart) -> RecordedTexts:
        """Select the texts of a part."""
        return self._selected([i for i, text in enumerate(self.texts) if text.part == part])

    def without(self, kind: str) -> RecordedTexts:
        """Select the texts that are not of a kind."""
        return self._selected([i for i, text in enumerate(self.texts) if text.kind != kind])

    def _selected(self, at: Sequence[int]) -> RecordedTexts:
        return RecordedTexts([self.texts[i] for i in at], [self.features_N[i] for i in at], self.states_N_L_D[list(at)])

    def labels(self, attribute: Attribute, subject: Subject) -> Labels:
        """Return the index of each text's class; the number of classes for unknown, and LEFT_OUT, [N]."""
        name, classes = f"{subject}_{attribute.name}", attribute.classes

        def index(text: LabelledDialogue) -> int:
            if name not in text.labels:
                return len(classes)
            label = text.labels[name]
            return LEFT_OUT if label is None else classes.index(label)

        return np.array([index(text) for text in self.texts], dtype=np.intp)

    def lured(self, attribute: Attribute, subject: Subject) -> npt.NDArray[np.bool_]:
        """Return which texts tell the class of somebody else, and nothing of the subject, [N]."""
        name = f"{subject}_{attribute.name}"
        return np.array([name in text.lures and name not in text.labels for text in self.texts])

    def taken_over(self, attribute: Attribute) -> npt.NDArray[np.bool_]:
        """Return which texts tell the user's class, and nothing of the model itself, [N]."""
        user, own = f"user_{attribute.name}", f"self_{attribute.name}"
        return np.array([text.labels.get(user) is not None and own not in text.labels for text in self.texts])
