"""Stories: items that tell the same thing are one story, shown once with `also in`."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.links import canonical_link
from telic.memory.words import content_stems

__all__ = ["DigestStory", "Fingerprint", "StoryIndex", "group_stories"]

SHINGLE = 4
"""Words of a shingle (Broder, 1997)."""
COMMON_SHINGLES = 0.4
"""Share of the shorter text's shingles from which two texts are copies of one."""
LEAST_SHINGLES = 8
SIMILAR_TITLES = 88.0
"""Similarity of two titles, 0 to 100, from which they name one story."""
LEAST_TITLE_STEMS = 4
"""Content words of a title below which it may be that of a column, such as `Weekly links`."""
SIMILAR_TEXTS = 55.0
"""Similarity of two texts by which a short title counts."""
COMPARED = 1500
"""Characters of a text that are compared."""
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_REPLY = re.compile(r"^(?:(?:re|fwd?|aw|wg)\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True)
class DigestStory:
    """What one entry of a digest is about."""

    item: DigestItem
    """The copy that is shown: the one with the most text."""
    also: tuple[DigestItem, ...] = ()
    """The other copies."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources that have it, the shown one first."""
        return tuple(dict.fromkeys(item.source for item in (self.item, *self.also)))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What two copies of a story have in common."""

    link: str
    """The canonical link; empty if there is none."""
    title: str
    stems: frozenset[str]
    """Those of the title."""
    numbers: tuple[str, ...]
    """Those of the title: `Python 3.13` is not `Python 3.14`."""
    text: str
    shingles: frozenset[int]

    @classmethod
    def of(cls, title: str, text: str, link: str | None) -> Fingerprint:
        """Take the fingerprint of a title, a text and a link."""
        title = _REPLY.sub("", title).casefold()
        words = re.findall(r"\w+", text[:COMPARED].casefold())
        shingles = frozenset(
            zlib.crc32(" ".join(words[i : i + SHINGLE]).encode()) for i in range(len(words) - SHINGLE + 1)
        )
        return cls(
            canonical_link(link) if link else "", title, frozenset(content_stems(title)),
            tuple(sorted(_NUMBERS.findall(title))), " ".join(words), shingles,
        )  # fmt: skip

    def tells_the_same(self, other: Fingerprint) -> bool:
        """Whether both tell one story: the same link, near-copies of one text, or near-copies of one title."""
        if self.link and self.link == other.link:
            return True
        fewer = min(len(self.shingles), len(other.shingles))
        if fewer >= LEAST_SHINGLES and len(self.shingles & other.shingles) >= COMMON_SHINGLES * fewer:
            return True
        if self.numbers != other.numbers or fuzz.token_sort_ratio(self.title, other.title) < SIMILAR_TITLES:
            return False
        if min(len(self.stems), len(other.stems)) >= LEAST_TITLE_STEMS:
            return True
        return not (self.text and other.text) or fuzz.token_set_ratio(self.text, other.text) >= SIMILAR_TEXTS


class StoryIndex:
    """Fingerprints of stories, found by what a copy would share with them."""

    def __init__(self) -> None:
        self._known: list[Fingerprint] = []
        self._by_key: dict[object, list[int]] = defaultdict(list)
        self._by_link: dict[str, int] = {}

    def add(self, fingerprint: Fingerprint) -> int:
        """Add a story; returns its number."""
        number = len(self._known)
        self._known.append(fingerprint)
        for key in _keys(fingerprint):
            self._by_key[key].append(number)
        self.add_link(number, fingerprint.link)
        return number

    def add_link(self, number: int, link: str) -> None:
        """Note a canonical link under which a copy of a story was found."""
        if link:
            self._by_link.setdefault(link, number)

    def find(self, fingerprint: Fingerprint) -> int | None:
        """Return the number of the first story that tells the same; None if there is none."""
        if fingerprint.link in self._by_link:
            return self._by_link[fingerprint.link]
        near = {number for key in _keys(fingerprint) for number in self._by_key.get(key, ())}
        return next((number for number in sorted(near) if self._known[number].tells_the_same(fingerprint)), None)


def group_stories(items: Iterable[DigestItem]) -> list[DigestStory]:
    """Group copies of one story. Each is compared with the first copy, so that no chain of likenesses forms."""
    index = StoryIndex()
    groups: list[list[DigestItem]] = []
    for item in sorted(items, key=lambda item: (-len(item.text[:COMPARED]), -(item.time or 0.0), item.id)):
        fingerprint = Fingerprint.of(item.title, item.text, item.link)
        number = index.find(fingerprint)
        if number is None:
            index.add(fingerprint)
            groups.append([item])
        else:
            index.add_link(number, fingerprint.link)
            groups[number].append(item)
    return [_story(group) for group in groups]


def _story(group: Sequence[DigestItem]) -> DigestStory:
    mails = [item for item in group if item.kind == "mail"]
    first = max(mails, key=lambda item: item.time or 0.0) if mails else group[0]  # of a thread, the latest mail
    others: dict[tuple[str, str], DigestItem] = {}
    for item in group:
        if (item.source, item.id) != (first.source, first.id):
            others.setdefault((item.source, item.id), item)
    return DigestStory(first, tuple(others.values()))


def _keys(fingerprint: Fingerprint) -> Iterable[object]:
    """Yield words of the title and some shingles: two copies without a common link share at least one."""
    yield from fingerprint.stems or {fingerprint.title}
    yield from (shingle for shingle in fingerprint.shingles if shingle % 4 == 0)  # a quarter finds every near-copy
