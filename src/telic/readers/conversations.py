"""Labelled conversations: TalkTuner's format, groups of those that are alike, and a split that keeps groups whole.

Conversations that were written from one prompt of a generator resemble each other. If some of them are trained on and
others tested on, a reader looks better than it is; so a group goes into one part of the split as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from telic.dialogue import Dialogue, Message, Role
from telic.errors import DataError
from telic.readers.attributes import Attribute

__all__ = ["SHARES", "Conversation", "Part", "cuts", "group_alike", "read_talktuner", "sample", "split"]

Part = Literal["train", "validation", "test"]
SHARES: dict[Part, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}

_TURN = re.compile(r"^### (Human|User|Assistant):", re.MULTILINE)
_OPENING_WORDS = 5
"""Words at which two conversations begin alike. Many begin with the same greeting, whatever follows."""
_PHRASE = 8
"""Words of a phrase: more than in what everybody says, such as thanks for the help."""
_ALIKE = 0.2
"""Share of phrases in common at which two conversations are alike."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in which somebody has an attribute."""

    id: str
    label: str
    """The class."""
    dialogue: Dialogue
    group: str = ""
    """Shared by those that are alike."""
    part: Part = "train"


def read_talktuner(path: str | Path, attribute: Attribute) -> list[Conversation]:
    """Read a file of TalkTuner's: a line has `id`, `label`, and `text` with turns that begin `### Human:`.

    What the assistant says before the user has spoken is left out; turns of one speaker in a row are joined.

    Raises:
        DataError: the file cannot be read, or a line is no such conversation.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut inside a JSON string
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read conversations from {str(path)!r}: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            label, text, own = str(row["label"]), str(row["text"]), row["id"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{where}: expected an object with id, label and text, got {line[:60]!r}") from None
        label = attribute.labels.get(label, label)
        if label not in attribute.classes:
            known = ", ".join([*attribute.classes, *attribute.labels])
            raise DataError(f"{where}: label {label!r} is no {attribute.name}; expected one of {known}")
        dialogue = _dialogue(text)
        if not len(dialogue):
            raise DataError(f"{where}: no turn of it begins with '### Human:'")
        # Numbers start anew with each label.
        found.append(Conversation(f"{attribute.name}/{label}/{own}", label, dialogue))
    if not found:
        raise DataError(f"{str(path)!r} holds no conversations")
    return found


def _dialogue(text: str) -> Dialogue:
    messages: list[Message] = []
    pieces = _TURN.split(text)
    for speaker, content in zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True):
        role: Role = "assistant" if speaker == "Assistant" else "user"
        if not content or (role == "assistant" and not messages):
            continue
        if messages and messages[-1].role == role:
            content = f"{messages.pop().content}\n\n{content}"
        messages.append(Message(role=role, content=content))
    return Dialogue(messages)


def group_alike(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Put conversations into groups: the same first five words of the user's, or a fifth of all their phrases shared.

    A phrase is eight words in a row of the user's; a share is that of the shorter of the two. What is alike to a member
    of a group belongs to it too.
    """
    said = [_words(message.content for message in c.dialogue if message.role == "user") for c in conversations]
    phrases = [{tuple(words[i : i + _PHRASE]) for i in range(len(words) - _PHRASE + 1)} for words in said]
    parent = list(range(len(conversations)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    first: dict[tuple[str, ...], int] = {}
    for index, (words, own) in enumerate(zip(said, phrases, strict=True)):
        shared = Counter(other for phrase in own for other in holders[phrase])
        alike = [i for i, n in shared.items() if n >= _ALIKE * min(len(own), len(phrases[i]))]
        for other in (*alike, first.setdefault(tuple(words[:_OPENING_WORDS]), index)):
            parent[root(index)] = root(other)
        for phrase in own:
            holders[phrase].append(index)
    return [replace(c, group=conversations[root(i)].id) for i, c in enumerate(conversations)]


def _words(texts: Iterable[str]) -> list[str]:
    return re.findall(r"\w+", " ".join(texts).lower())


def split(
    conversations: Sequence[Conversation], seed: int = 0, shares: Mapping[Part, float] = SHARES
) -> list[Conversation]:
    """Put each group into train, validation or test, so that every class has about its share there.

    The largest groups choose first; a group goes where its classes lack most.
    """
    totals = Counter(c.label for c in conversations)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for c in conversations:
        groups[c.group][c.label] += 1
    order = sorted(groups, key=lambda group: (-groups[group].total(), _draw(group, seed)))
    filled: dict[Part, Counter[str]] = {part: Counter() for part in get_args(Part)}
    where: dict[str, Part] = {}
    for group in order:
        where[group] = max(shares, key=lambda part: _lack(groups[group], totals, filled[part], shares[part]))
        filled[where[group]].update(groups[group])
    return [replace(c, part=where[c.group]) for c in conversations]


def _lack(group: Mapping[str, int], totals: Mapping[str, int], filled: Mapping[str, int], share: float) -> float:
    """How far a part with a group in it would be from its share of the group's classes, relative to that share."""
    return sum(n * (1 - (filled.get(label, 0) + n) / (share * totals[label])) for label, n in group.items())


def sample(conversations: Sequence[Conversation], per_class: int, seed: int = 0) -> list[Conversation]:
    """Draw `per_class` of each class, each part by its share; more of them are those and others."""
    chosen: list[Conversation] = []
    taken: Counter[tuple[str, str]] = Counter()
    for c in sorted(conversations, key=lambda c: _draw(c.id, seed)):
        if taken[c.part, c.label] < round(per_class * SHARES[c.part]):
            taken[c.part, c.label] += 1
            chosen.append(c)
    return chosen


def cuts(
    conversation: Conversation, max_tokens: int, count: Callable[[Dialogue], int], seed: int = 0
) -> list[Dialogue]:
    """The beginnings at which a conversation is read: the last turn of the user's that fits, and an earlier one.

    Args:
        conversation: with at least one turn of the user's.
        max_tokens: of the beginning. The first turn is read however long it is.
        count: how many tokens a beginning has.
        seed: draws the earlier one.

    Returns:
        One or two beginnings, each with the user's words last; the longer one is the last.
    """
    ends = [i + 1 for i, message in enumerate(conversation.dialogue) if message.role == "user"]
    fitting = ends[:1]
    for end in ends[1:]:
        if count(conversation.dialogue[:end]) > max_tokens:
            break
        fitting.append(end)
    *earlier, last = fitting
    early = [earlier[_draw(conversation.id, seed) % len(earlier)]] if earlier else []
    return [conversation.dialogue[:end] for end in (*early, last)]


def _draw(name: str, seed: int) -> int:
    """A number drawn for a name: it stays as it is whatever else is drawn."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6], "big")
