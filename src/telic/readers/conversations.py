"""Labelled conversations: TalkTuner's format, groups of similar ones, and a split that keeps groups whole.

Conversations that were generated from one prompt resemble each other. A reader that is trained on some of them and
tested on others looks better than it is; so a group goes into one part of the split as a whole.
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

__all__ = [
    "SHARES",
    "LabelledConversation",
    "Part",
    "group_similar",
    "read_talktuner",
    "sample_conversations",
    "split_conversations",
    "truncate_conversation",
]

Part = Literal["train", "validation", "test"]
SHARES: dict[Part, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}

_TURN = re.compile(r"^### (Human|User|Assistant):", re.MULTILINE)
_OPENING_WORDS = 5
"""Two conversations that begin with the same number of words are similar. Fewer words are often just a greeting."""
_PHRASE = 8
"""Words of a phrase: more than in common courtesies, such as thanks for the help."""
_SIMILAR = 0.2
"""Share of common phrases from which two conversations are similar."""


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """A conversation, and the class of the user's or the assistant's attribute in it."""

    id: str
    label: str
    """The class."""
    dialogue: Dialogue
    group: str = ""
    """Shared by similar conversations."""
    part: Part = "train"


def read_talktuner(path: str | Path, attribute: Attribute) -> list[LabelledConversation]:
    """Read a file in TalkTuner's format: a line has `id`, `label`, and `text` with turns that begin `### Human:`.

    Turns of the assistant before the user's first are dropped; consecutive turns of one speaker are joined.

    Raises:
        DataError: the file cannot be read, or a line is not such a conversation.
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
            raise DataError(f"{where}: label {label!r} is not a class of {attribute.name}; expected one of {known}")
        dialogue = _dialogue(text)
        if not len(dialogue):
            raise DataError(f"{where}: found no turn; expected one that begins with '### Human:'")
        # The file numbers the conversations of each label from 0.
        found.append(LabelledConversation(f"{attribute.name}/{label}/{own}", label, dialogue))
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


def group_similar(conversations: Sequence[LabelledConversation]) -> list[LabelledConversation]:
    """Group conversations whose users begin with the same five words, or share a fifth of their phrases.

    A phrase is eight consecutive words of the user; the share is of the shorter conversation's phrases. A conversation
    that is similar to one member of a group belongs to the group.
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
        similar = [i for i, n in shared.items() if n >= _SIMILAR * min(len(own), len(phrases[i]))]
        for other in (*similar, first.setdefault(tuple(words[:_OPENING_WORDS]), index)):
            parent[root(index)] = root(other)
        for phrase in own:
            holders[phrase].append(index)
    return [replace(c, group=conversations[root(i)].id) for i, c in enumerate(conversations)]


def _words(texts: Iterable[str]) -> list[str]:
    return re.findall(r"\w+", " ".join(texts).lower())


def split_conversations(
    conversations: Sequence[LabelledConversation], seed: int = 0, shares: Mapping[Part, float] = SHARES
) -> list[LabelledConversation]:
    """Put each group into train, validation or test, so that every part gets about its share of every class.

    Groups are assigned from the largest on, each to the part that lacks most of its classes.
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
    """Compute how far a part with a group in it would be below its share of the group's classes, relative to it."""
    return sum(n * (1 - (filled.get(label, 0) + n) / (share * totals[label])) for label, n in group.items())


def sample_conversations(
    conversations: Sequence[LabelledConversation], per_class: int, seed: int = 0
) -> list[LabelledConversation]:
    """Draw `per_class` conversations of each class, divided among the parts; a larger sample contains a smaller one."""
    chosen: list[LabelledConversation] = []
    taken: Counter[tuple[str, str]] = Counter()
    for c in sorted(conversations, key=lambda c: _draw(c.id, seed)):
        if taken[c.part, c.label] < round(per_class * SHARES[c.part]):
            taken[c.part, c.label] += 1
            chosen.append(c)
    return chosen


def truncate_conversation(
    conversation: LabelledConversation, max_tokens: int, count: Callable[[Dialogue], int], seed: int = 0
) -> list[Dialogue]:
    """Truncate a conversation after the user's last turn that fits, and after an earlier one.

    Args:
        conversation: with at least one turn of the user.
        max_tokens: maximum length of a truncated dialogue. The first turn is always read.
        count: counts the tokens of a truncated dialogue.
        seed: draws the earlier turn.

    Returns:
        One or two truncated dialogues, each ending with a turn of the user; the last is the longest.
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
    """Draw a number for a name, independently of all other draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6], "big")
