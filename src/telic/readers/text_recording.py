"""Recording of training texts: the activations of each dialogue at the places where readers read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from telic.dialogue import Dialogue
from telic.models.local import LocalModel
from telic.readers.attributes import SUBJECTS, SUFFIX, Attribute, Subject, find_attribute
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
from telic.readers.recording import ActivationCache, Floats, Halves, example_key, record_activations
from telic.readers.training_texts import LabelledDialogue, generated_dialogues, written_dialogues

__all__ = [
    "PROMPT",
    "OnProgress",
    "Place",
    "RecordedTexts",
    "places_of",
    "record_texts",
    "recorded_layers",
    "training_texts",
]

OnProgress = Callable[[int, int], None]
"""Called with the number of dialogues recorded, and of all dialogues."""
BATCH = 32
"""Dialogues that are recorded in one batch, and kept in one file."""
VALIDATION = 400
"""Generated dialogues for validation, if there are not fewer for training."""
PROMPT = "prompt"
"""Name of the place at the prompt's last token."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state is read."""

    prefix: str
    """Beginning of the reply."""
    back: int = 0
    """The token, counted back from the prefix's last one."""


def places_of(model: LocalModel, attributes: Sequence[str]) -> dict[str, Place]:
    """List where a dialogue is recorded: at the prompt's last token, and where each reader reads."""
    places = {PROMPT: Place("")}
    for subject in SUBJECTS:
        for name in attributes:
            count = [
                len(model.template.encoder.encode(text)) for text in (SUFFIX, find_attribute(name).suffix(subject))
            ]
            places[f"{subject}_{name}"] = Place(SUFFIX, count[0] - count[1])
    return places


def recorded_layers(depth: int) -> list[int]:
    """List the layers that are recorded: every other one after the first third, which encodes words, not meaning."""
    return list(range(depth - 1, depth // 3 - 1, -2))[::-1]


def training_texts(model: LocalModel, data: Path | None, config: ReaderTrainingConfig) -> list[LabelledDialogue]:
    """Collect the texts of both parts: written, generated, and TalkTuner's conversations if there are some.

    Raises:
        DataError: `data` is no folder of conversations in TalkTuner's format.
    """
    counts: dict[TextPart, int] = {"train": config.texts, "validation": min(config.texts, VALIDATION)}
    found: list[LabelledDialogue] = []
    for part, count in counts.items():
        found += written_dialogues(part) + generated_dialogues(part, count, config.seed)
    if data is not None:
        for name in config.attributes:
            found += _conversations(model, data, find_attribute(name), config)
    return found


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
    places: Sequence[Place],
    cache: ActivationCache,
    on_progress: OnProgress | None = None,
) -> None:
    """Record the texts that the cache lacks, those of similar length together.

    Args:
        model: reads the dialogues.
        texts: what to record.
        places: where to record.
        cache: has what was recorded before, and gets the rest.
        on_progress: called with the number of dialogues recorded now, and of all that the cache lacked.

    Raises:
        ModelError: a dialogue does not fit in the context.
    """
    by_key = {_key(model, text, places): text for text in texts}
    lacking = sorted((key for key in by_key if key not in cache), key=lambda key: len(by_key[key].text))
    layers = recorded_layers(model.layers)
    for start in range(0, len(lacking), BATCH):
        keys = lacking[start : start + BATCH]
        sessions = [model.session() for _ in keys]
        for session, key in zip(sessions, keys, strict=True):
            session.dialogue = by_key[key].dialogue
        prefixes, backs = [place.prefix for place in places], [place.back for place in places]
        cache.add(dict(zip(keys, record_activations(sessions, prefixes, layers, backs=backs), strict=True)))
        if on_progress is not None:
            on_progress(start + len(keys), len(lacking))


def _key(model: LocalModel, text: LabelledDialogue, places: Sequence[Place]) -> str:
    return example_key(model.name, text.dialogue, [f"{place.prefix}/{place.back}" for place in places])


@dataclass(frozen=True)
class RecordedTexts:
    """Texts, and their recorded activations."""

    texts: Sequence[LabelledDialogue]
    places: tuple[str, ...]
    """Name of each place: `prompt`, or a reader."""
    layers: tuple[int, ...]
    """The recorded layers."""
    states_N_P_L_D: Halves

    @classmethod
    def of(
        cls, model: LocalModel, texts: Sequence[LabelledDialogue], places: dict[str, Place], cache: ActivationCache
    ) -> RecordedTexts:
        """Load the texts' activations from the cache."""
        keys = [_key(model, text, list(places.values())) for text in texts]
        return cls(texts, tuple(places), tuple(recorded_layers(model.layers)), cache.load(keys))

    def part(self, part: TextPart) -> RecordedTexts:
        """Select the texts of a part."""
        at = [i for i, text in enumerate(self.texts) if text.part == part]
        return RecordedTexts([self.texts[i] for i in at], self.places, self.layers, self.states_N_P_L_D[at])

    def states(self, place: str, layers: Sequence[int]) -> Floats:
        """Return the states at a place after some layers, joined: [N, layers * hidden]."""
        at = [self.layers.index(layer) for layer in layers]
        found = self.states_N_P_L_D[:, self.places.index(place)][:, at]
        return found.reshape(len(found), -1).astype(np.float32)

    def labels(self, attribute: Attribute, subject: Subject) -> Labels:
        """Return the index of each text's class; the number of classes for unknown, and LEFT_OUT, [N]."""
        name, classes = f"{subject}_{attribute.name}", attribute.classes

        def index(text: LabelledDialogue) -> int:
            if name not in text.labels:
                return len(classes)
            label = text.labels[name]
            return LEFT_OUT if label is None else classes.index(label)

        return np.array([index(text) for text in self.texts], dtype=np.intp)
