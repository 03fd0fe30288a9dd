"""Passages of earlier conversations: verbatim windows of three turns around what the user said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telic.memory.claims import Claim
from telic.memory.events import MemoryEvent
from telic.memory.index import GrowingIndex
from telic.memory.words import content_stems

__all__ = ["SLOT_WORDS", "Passage", "Passages"]

SLOT_WORDS: dict[str, str] = {
    "home": "home live city town address where from start near",
    "job": "job work living profession occupation career",
    "diet": "diet eat food restaurant meal cook dish recipe menu dinner lunch",
    "allergy": "allergy allergic intolerance cook food safe medicine",
    "taste": "taste favourite enjoy prefer preference dislike hate avoid suggest recommend",
    "budget": "budget spend cost money price afford cheap",
    "name": "name called",
    "pet": "pet dog cat",
    "note": "remember note",
    "reply style": "style reply answer write draft",
}
"""Words of questions about a slot. They are added to a passage that fills it, as keys."""
LONGEST_TURN = 1500
"""Characters of a turn that are indexed and quoted."""


@dataclass(slots=True)
class Passage:
    """A user's turn, with the turn before it and the turn after it."""

    turn: MemoryEvent
    before: MemoryEvent | None = None
    after: MemoryEvent | None = None

    @property
    def turns(self) -> list[MemoryEvent]:
        """The turns, in order."""
        return [one for one in (self.before, self.turn, self.after) if one is not None and one.text]


class Passages:
    """All passages of one user, found by words."""

    def __init__(self) -> None:
        self._index = GrowingIndex()
        self._passages: list[Passage] = []
        self._latest: dict[str, MemoryEvent] = {}
        self._waiting: dict[str, int] = {}
        self._by_source: dict[str, list[int]] = {}

    def add(self, event: MemoryEvent, claims: Sequence[Claim]) -> None:
        """Take in a message, with the claims that were found in it."""
        if event.kind != "message" or event.speaker not in ("user", "assistant"):
            return
        stems = content_stems(event.text[:LONGEST_TURN])
        if (number := self._waiting.pop(event.source, None)) is not None:
            self._passages[number].after = event
            self._index.extend(number, stems)
        if event.speaker == "user":
            before = self._latest.get(event.source)
            earlier = content_stems(before.text[:LONGEST_TURN]) if before is not None else []
            number = self._index.add([*stems, *stems, *earlier, *_keys(claims)])  # the user's words count twice
            self._passages.append(Passage(event, before))
            self._waiting[event.source] = number
            self._by_source.setdefault(event.source, []).append(number)
        self._latest[event.source] = event

    def search(self, query: str, most: int, *, source: str | None = None) -> list[Passage]:
        """Return the passages that fit a query best.

        Args:
            query: what the user says now.
            most: passages to return.
            source: a conversation to leave out, since the model sees it anyway.
        """
        hidden = self._by_source.get(source, ()) if source is not None else ()
        found = self._index.search(content_stems(query), most, hidden)
        return [self._passages[number] for number, _ in found]


def _keys(claims: Sequence[Claim]) -> list[str]:
    """Return the stems of what was found in a message, and of what people ask about it."""
    texts = [f"{claim.slot} {claim.value} {SLOT_WORDS.get(claim.slot, '')}" for claim in claims]
    return [stem for text in dict.fromkeys(texts) for stem in content_stems(text)]
