"""What readers are trained and tested on: conversations of users, and dialogues in which the assistant is somebody."""

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
from telic.models.local import LocalModel
from telic.models.request import Request, Sampling
from telic.readers.attributes import SUBJECTS, Attribute, Subject, find_attribute
from telic.readers.config import TrainConfig
from telic.readers.conversations import Conversation, Part, cuts, group_alike, read_talktuner, sample, split
from telic.readers.probe import Labels
from telic.readers.recording import ActivationCache, Floats, example_key, record

__all__ = [
    "Example",
    "OnProgress",
    "Recorded",
    "persona_examples",
    "prefixes",
    "record_examples",
    "third_person",
    "user_examples",
]

OnProgress = Callable[[int, int], None]
"""Told how many dialogues are recorded, and of how many."""

PERSONA_SHARES: dict[Part, float] = {"train": 0.5, "validation": 0.25, "test": 0.25}
"""There are few personas, and a fifth of them would be one."""
BATCH = 12
"""Conversations that are recorded side by side, and kept in one file."""


@dataclass(frozen=True, slots=True)
class Example:
    """A dialogue that is read, and what is true of it."""

    attribute: str
    subject: Subject
    """Who has the attribute."""
    label: int
    """Index of the class."""
    dialogue: Dialogue
    """Ends with the user's words."""
    conversation: str
    """Which conversation it is a beginning of."""
    group: str
    part: str
    """Of the split; for pairs of sentences `own` (the user is meant) or `mentioned` (somebody else is)."""
    last: bool = True
    """Whether it is all that is read of the conversation; False for an earlier turn."""

    @property
    def text(self) -> str:
        """All that is said in it."""
        return "\n".join(message.content for message in self.dialogue)


def user_examples(model: LocalModel, folder: Path, attribute: Attribute, config: TrainConfig) -> list[Example]:
    """Beginnings of TalkTuner's conversations.

    Raises:
        DataError: the attribute's file is not in the folder, or is wrong.
    """
    every = split(group_alike(read_talktuner(folder / attribute.file, attribute)), config.seed)
    return [
        example
        for c in sample(every, config.per_class, config.seed)
        for example in _beginnings(c, cuts(c, config.max_tokens, _counter(model), config.seed), attribute, "user")
    ]


def _counter(model: LocalModel) -> Callable[[Dialogue], int]:
    return lambda dialogue: len(model.render(dialogue).token_ids)


def _beginnings(
    c: Conversation, dialogues: Sequence[Dialogue], attribute: Attribute, subject: Subject
) -> list[Example]:
    label, final = attribute.classes.index(c.label), len(dialogues) - 1
    return [
        Example(attribute.name, subject, label, dialogue, c.id, c.group, c.part, index == final)
        for index, dialogue in enumerate(dialogues)
    ]


def persona_examples(
    model: LocalModel, attribute: Attribute, config: TrainConfig, folder: Path | None = None
) -> list[Example]:
    """Dialogues in which the assistant's system prompt makes it somebody, and the user shows nothing of themself.

    The replies are the model's own. A persona is a group.

    Args:
        model: whose readers are trained.
        attribute: what the personas differ in.
        config: how.
        folder: keeps the replies for the next time.
    """
    data = _read_data("personas.toml")
    told = [(label, persona) for label in attribute.classes for persona in data[attribute.name][label]]
    wanted = round(config.per_class * len(attribute.classes) / len(told))
    found: list[Conversation] = []
    for number in range(max(1, min(wanted, len(data["openers"])))):
        openings = [Dialogue().with_system(persona).add("user", data["openers"][number]) for _, persona in told]
        seeds = [config.seed + index * len(data["openers"]) + number for index in range(len(told))]
        replies = _replies(model, openings, seeds, config.reply_tokens, folder)
        for (label, persona), opening, reply in zip(told, openings, replies, strict=True):
            dialogue = opening.add("assistant", reply).add("user", data["followers"][number])
            found.append(Conversation(f"{attribute.name}/{label}/{persona}/{number}", label, dialogue, persona))
    return [
        example
        for c in split(found, config.seed, PERSONA_SHARES)
        for example in _beginnings(c, [c.dialogue[:2], c.dialogue], attribute, "self")
    ]


def _replies(
    model: LocalModel, openings: Sequence[Dialogue], seeds: Sequence[int], tokens: int, folder: Path | None
) -> list[str]:
    drawn = [f"{tokens}/{seed}" for seed in seeds]
    told = [message for opening in openings for message in opening]
    path = folder / f"replies-{example_key(model.name, told, drawn)}.json" if folder else None
    if path is not None and path.exists():
        return list(json.loads(path.read_text(encoding="utf-8")))
    requests = [
        Request(tuple(opening), Sampling(tokens, 0.7, 0.9, seed=seed))
        for opening, seed in zip(openings, seeds, strict=True)
    ]
    replies = model.generate(requests)
    failed = next((reply.failure.detail for reply in replies if reply.failure is not None), None)
    if failed:
        raise ModelError(f"model {model.name!r} failed to play a persona: {failed}")
    texts = [reply.text.strip() or "..." for reply in replies]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    return texts


def third_person(attribute: Attribute) -> list[Example]:
    """Pairs of what users say of themselves (`own`), and the same of somebody else (`mentioned`)."""
    found: list[Example] = []
    for label, pairs in _read_data("third_person.toml")[attribute.name].items():
        for number, texts in enumerate(pairs):
            pair = f"{attribute.name}/{label}/{number}"
            for text, part in zip(texts, ("own", "mentioned"), strict=True):
                dialogue = Dialogue().add("user", text)
                found.append(
                    Example(attribute.name, "user", attribute.classes.index(label), dialogue, pair, pair, part)
                )
    return found


@cache
def _read_data(name: str) -> dict[str, Any]:
    text = (resources.files("telic.readers") / "data" / name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def prefixes(attribute: Attribute) -> tuple[str, ...]:
    """Where each dialogue is recorded: at the prompt's last token, and after the words on the user and on itself."""
    return ("", *(attribute.suffix(subject) for subject in SUBJECTS))


def record_examples(
    model: LocalModel, examples: Sequence[Example], cache: ActivationCache, on_progress: OnProgress | None = None
) -> None:
    """Record what the cache does not have yet, at all layers; the beginnings of a conversation one after another.

    Raises:
        ModelError: a dialogue does not fit in the context.
    """
    by_conversation: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        by_conversation.setdefault((example.attribute, example.conversation), []).append(example)
    waiting = [own for own in by_conversation.values() if any(_key(model, example) not in cache for example in own)]
    done = len(by_conversation) - len(waiting)
    waiting.sort(key=lambda own: own[0].attribute)  # stable: one batch has one attribute's prefixes
    while waiting:
        name = waiting[0][0].attribute
        batch = [own for own in waiting[:BATCH] if own[0].attribute == name]
        waiting = waiting[len(batch) :]
        cache.add(_record_batch(model, batch, prefixes(find_attribute(name))))
        done += len(batch)
        if on_progress is not None:
            on_progress(done, len(by_conversation))


def _record_batch(model: LocalModel, batch: Sequence[Sequence[Example]], where: Sequence[str]) -> dict[str, Floats]:
    sessions = [model.session() for _ in batch]
    found: dict[str, Floats] = {}
    for turn in range(max(map(len, batch))):
        reading = [(session, own[turn]) for session, own in zip(sessions, batch, strict=True) if turn < len(own)]
        for session, example in reading:
            session.dialogue = example.dialogue
        read = record([session for session, _ in reading], where, range(model.layers))
        found.update({_key(model, example): values for (_, example), values in zip(reading, read, strict=True)})
    return found


def _key(model: LocalModel, example: Example) -> str:
    return example_key(model.name, example.dialogue, prefixes(find_attribute(example.attribute)))


@dataclass(frozen=True)
class Recorded:
    """Examples of one attribute, and what was recorded of them."""

    examples: Sequence[Example]
    states_N_P_L_D: Floats
    """At each of the `prefixes`, after each layer."""

    @classmethod
    def of(cls, model: LocalModel, examples: Sequence[Example], cache: ActivationCache) -> Recorded:
        """Take them out of the cache."""
        return cls(examples, cache.load([_key(model, example) for example in examples]))

    def select(self, **wanted: object) -> Recorded:
        """Those whose fields have these values."""
        at = [i for i, e in enumerate(self.examples) if all(getattr(e, k) == v for k, v in wanted.items())]
        return Recorded([self.examples[i] for i in at], self.states_N_P_L_D[at])

    @property
    def labels(self) -> Labels:
        """Index of the class of each."""
        return np.array([example.label for example in self.examples], dtype=np.intp)

    def prompts(self, layer: int) -> Floats:
        """[N, hidden], at the prompt's last token."""
        return self.states_N_P_L_D[:, 0, layer]

    def beliefs(self, subject: Subject, layer: int) -> Floats:
        """[N, hidden], after the words on a subject."""
        return self.states_N_P_L_D[:, 1 + SUBJECTS.index(subject), layer]
