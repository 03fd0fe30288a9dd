"""Examples for training and testing readers: users' conversations, and dialogues with a persona as the assistant."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from telic.dialogue import Dialogue
from telic.errors import ModelError
from telic.files import write_atomically
from telic.models.local import LocalModel
from telic.models.request import Request, Sampling
from telic.readers.attributes import SUBJECTS, Attribute, Subject, find_attribute
from telic.readers.config import ReaderTrainingConfig
from telic.readers.conversations import (
    LabelledConversation,
    Part,
    group_similar,
    read_talktuner,
    sample_conversations,
    split_conversations,
    truncate_conversation,
)
from telic.readers.linear_probe import Labels
from telic.readers.recording import ActivationCache, Floats, example_key, record_activations

__all__ = [
    "OnProgress",
    "ReaderExample",
    "RecordedExamples",
    "persona_examples",
    "record_examples",
    "recorded_prefixes",
    "third_person_examples",
    "user_examples",
]

OnProgress = Callable[[int, int], None]
"""Called with the number of dialogues recorded, and of all dialogues."""

PERSONA_SHARES: dict[Part, float] = {"train": 0.5, "validation": 0.25, "test": 0.25}
"""Larger than `SHARES` for validation and test, since there are few personas: a fifth of them would be one."""
BATCH = 12
"""Conversations that are recorded in one batch, and kept in one file."""


@dataclass(frozen=True, slots=True)
class ReaderExample:
    """A dialogue to read, and the true class."""

    attribute: str
    subject: Subject
    """Whose attribute it is."""
    label: int
    """Index of the class."""
    dialogue: Dialogue
    """Ends with a turn of the user."""
    conversation: str
    """The conversation whose truncated dialogue it is."""
    group: str
    part: str
    """Part of the split; for pairs of sentences `own` (about the user) or `mentioned` (about somebody else)."""
    last: bool = True
    """Whether it is the longest truncated dialogue of the conversation; False for an earlier turn."""

    @property
    def text(self) -> str:
        """All messages, joined."""
        return "\n".join(message.content for message in self.dialogue)


def user_examples(
    model: LocalModel, folder: Path, attribute: Attribute, config: ReaderTrainingConfig
) -> list[ReaderExample]:
    """Make examples of TalkTuner's conversations.

    Raises:
        DataError: the attribute's file is not in the folder, or is wrong.
    """
    every = split_conversations(group_similar(read_talktuner(folder / attribute.file, attribute)), config.seed)
    return [
        example
        for c in sample_conversations(every, config.per_class, config.seed)
        for example in _examples_of(
            c, truncate_conversation(c, config.max_tokens, _counter(model), config.seed), attribute, "user"
        )
    ]


def _counter(model: LocalModel) -> Callable[[Dialogue], int]:
    return lambda dialogue: len(model.render(dialogue).token_ids)


def _examples_of(
    c: LabelledConversation, dialogues: Sequence[Dialogue], attribute: Attribute, subject: Subject
) -> list[ReaderExample]:
    label, final = attribute.classes.index(c.label), len(dialogues) - 1
    return [
        ReaderExample(attribute.name, subject, label, dialogue, c.id, c.group, c.part, index == final)
        for index, dialogue in enumerate(dialogues)
    ]


def persona_examples(
    model: LocalModel, attribute: Attribute, config: ReaderTrainingConfig, folder: Path | None = None
) -> list[ReaderExample]:
    """Make examples in which a system prompt gives the assistant a persona, and the user reveals no attribute.

    The replies are the model's own. A persona is a group.

    Args:
        model: the model whose readers are trained.
        attribute: the attribute in which the personas differ.
        config: the settings.
        folder: caches the replies; None to generate them each time.
    """
    data = _read_data("personas.toml")
    personas = [(label, persona) for label in attribute.classes for persona in data[attribute.name][label]]
    wanted = round(config.per_class * len(attribute.classes) / len(personas))
    found: list[LabelledConversation] = []
    for number in range(max(1, min(wanted, len(data["openers"])))):
        openings = [Dialogue().with_system(persona).add("user", data["openers"][number]) for _, persona in personas]
        seeds = [config.seed + index * len(data["openers"]) + number for index in range(len(personas))]
        replies = _replies(model, openings, seeds, config.reply_tokens, folder)
        for (label, persona), opening, reply in zip(personas, openings, replies, strict=True):
            dialogue = opening.add("assistant", reply).add("user", data["followers"][number])
            found.append(LabelledConversation(f"{attribute.name}/{label}/{persona}/{number}", label, dialogue, persona))
    return [
        example
        for c in split_conversations(found, config.seed, PERSONA_SHARES)
        for example in _examples_of(c, [c.dialogue[:2], c.dialogue], attribute, "self")
    ]


def _replies(
    model: LocalModel, openings: Sequence[Dialogue], seeds: Sequence[int], tokens: int, folder: Path | None
) -> list[str]:
    drawn = [f"{tokens}/{seed}" for seed in seeds]
    messages = [message for opening in openings for message in opening]
    path = folder / f"replies-{example_key(model.name, messages, drawn)}.json" if folder else None
    if path is not None and path.exists():
        return list(json.loads(path.read_text(encoding="utf-8")))
    requests = [
        Request(tuple(opening), Sampling(tokens, 0.7, 0.9, seed=seed))
        for opening, seed in zip(openings, seeds, strict=True)
    ]
    replies = model.generate(requests)
    failure = next((reply.failure for reply in replies if reply.failure is not None), None)
    if failure is not None:
        raise ModelError(f"model {model.name!r} failed to play a persona: {failure.detail}", failure.kind)
    texts = [reply.text.strip() or "..." for reply in replies]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(texts, ensure_ascii=False))
    return texts


def third_person_examples(attribute: Attribute) -> list[ReaderExample]:
    """Make pairs of sentences: one about the user (`own`), one about somebody else (`mentioned`)."""
    found: list[ReaderExample] = []
    for label, pairs in _read_data("third_person.toml")[attribute.name].items():
        for number, texts in enumerate(pairs):
            pair = f"{attribute.name}/{label}/{number}"
            for text, part in zip(texts, ("own", "mentioned"), strict=True):
                dialogue = Dialogue().add("user", text)
                found.append(
                    ReaderExample(attribute.name, "user", attribute.classes.index(label), dialogue, pair, pair, part)
                )
    return found


@cache
def _read_data(name: str) -> dict[str, Any]:
    text = (resources.files("telic.readers") / "data" / name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def recorded_prefixes(attribute: Attribute) -> tuple[str, ...]:
    """List the prefixes of a reply after which a dialogue is recorded: none, and the suffix of each subject."""
    return ("", *(attribute.suffix(subject) for subject in SUBJECTS))


def record_examples(
    model: LocalModel, examples: Sequence[ReaderExample], cache: ActivationCache, on_progress: OnProgress | None = None
) -> None:
    """Record the examples that the cache lacks, at all layers.

    The truncated dialogues of a conversation are read one after another, so that each extends the cached one before.

    Args:
        model: reads the dialogues.
        examples: what to record.
        cache: has what was recorded before, and gets the rest.
        on_progress: called with the number of conversations recorded now, and of all that the cache lacked.

    Raises:
        ModelError: a dialogue does not fit in the context.
    """
    by_conversation: dict[tuple[str, str], list[ReaderExample]] = {}
    for example in examples:
        by_conversation.setdefault((example.attribute, example.conversation), []).append(example)
    waiting = [own for own in by_conversation.values() if any(_key(model, example) not in cache for example in own)]
    done, lacking = 0, len(waiting)
    waiting.sort(key=lambda own: own[0].attribute)  # stable: one batch has one attribute's prefixes
    while waiting:
        name = waiting[0][0].attribute
        batch = [own for own in waiting[:BATCH] if own[0].attribute == name]
        waiting = waiting[len(batch) :]
        cache.add(_record_batch(model, batch, recorded_prefixes(find_attribute(name))))
        done += len(batch)
        if on_progress is not None:
            on_progress(done, lacking)


def _record_batch(
    model: LocalModel, batch: Sequence[Sequence[ReaderExample]], prefixes: Sequence[str]
) -> dict[str, Floats]:
    sessions = [model.session() for _ in batch]
    found: dict[str, Floats] = {}
    for turn in range(max(map(len, batch))):
        reading = [(session, own[turn]) for session, own in zip(sessions, batch, strict=True) if turn < len(own)]
        for session, example in reading:
            session.dialogue = example.dialogue
        read = record_activations([session for session, _ in reading], prefixes, range(model.layers))
        found.update({_key(model, example): values for (_, example), values in zip(reading, read, strict=True)})
    return found


def _key(model: LocalModel, example: ReaderExample) -> str:
    return example_key(model.name, example.dialogue, recorded_prefixes(find_attribute(example.attribute)))


@dataclass(frozen=True)
class RecordedExamples:
    """Examples of one attribute, and their recorded activations."""

    examples: Sequence[ReaderExample]
    states_N_P_L_D: Floats
    """After each of the `recorded_prefixes` (P) and each layer (L)."""

    @classmethod
    def of(cls, model: LocalModel, examples: Sequence[ReaderExample], cache: ActivationCache) -> RecordedExamples:
        """Load the examples' activations from the cache."""
        return cls(examples, cache.load([_key(model, example) for example in examples]))

    def select(self, **wanted: object) -> RecordedExamples:
        """Select the examples whose fields have these values."""
        at = [i for i, e in enumerate(self.examples) if all(getattr(e, k) == v for k, v in wanted.items())]
        return RecordedExamples([self.examples[i] for i in at], self.states_N_P_L_D[at])

    @property
    def labels(self) -> Labels:
        """Index of each example's class, [N]."""
        return np.array([example.label for example in self.examples], dtype=np.intp)

    def prompts(self, layer: int) -> Floats:
        """Return the activations at the prompt's last token, [N, hidden]."""
        return self.states_N_P_L_D[:, 0, layer]

    def beliefs(self, subject: Subject, layer: int) -> Floats:
        """Return the activations after the suffix of a subject, [N, hidden]."""
        return self.states_N_P_L_D[:, 1 + SUBJECTS.index(subject), layer]
