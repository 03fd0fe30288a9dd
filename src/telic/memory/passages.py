"""Passages of earlier conversations: verbatim windows of three turns around what the user said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from telic.memory.claims import Claim
from telic.memory.embeddings import DenseIndex, fuse_ranks, load_embedder
from telic.memory.events import MemoryEvent
from telic.memory.extractors.lexicon import DIETS
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
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|im|i've|ive|i'd|my|me|mine|we|we're|our)\b", re.IGNORECASE)
_TOPICS = {
    topic: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for topic, words in {
        "home": r"live|lives|lived|living|home|house|flat|apartment|moved|move|settled|reside|based|town|hometown|address|neighbou?rhood",
        "job": r"work|works|worked|working|job|profession|career|shifts?|trained|employed|employer|paid|boss|retired|hired|occupation",
        "diet": rf"diet|eat|eats|eating|eater|cook|food|meat|meals?|restaurant|recipe|menu|{DIETS}",
        "allergy": r"allerg\w+|intoleran\w+|hives|rash|anaphyla\w+|epipen",
        "taste": r"like|likes|liked|love|loved|loves|enjoy\w*|adore\w*|prefer\w*|fan|fond|keen|hate\w*|dislike\w*|detest\w*|loathe|"
        r"can't stand|cannot stand|cant stand|bear|avoid\w*|favou?rite\w*|taste|preference\w*|fancy|spare me|not for me|not my thing",
        "budget": r"budget|spend|pay|afford\w*|costs?|euros?|pounds?|dollars?|price\w*|money|cheap\w*|expensive",
        "pet": r"dogs?|puppy|cats?|kitten|pets?",
        "name": r"name|called|named",
    }.items()
}
"""What a message of the first person is about, as keys of passages and of questions. It finds what no extractor understood."""
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
    """All passages of one user, found by words, and by meaning if there is an embedder.

    Args:
        embedder: its name (`telic.memory.embeddings`); empty for none.
    """

    def __init__(self, embedder: str = "") -> None:
        self._index = GrowingIndex()
        self._dense = DenseIndex(load_embedder(embedder)) if embedder else None
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
            own = [*stems, *stems, *_topics(event.text), *_keys(claims)]  # the user's words count twice
            number = self._index.add([*own, *earlier])
            if self._dense is not None:
                self._dense.add(event.text[:LONGEST_TURN])
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
        found = [number for number, _ in self._index.search([*content_stems(query), *_topics(query)], most, hidden)]
        if self._dense is not None:
            found = fuse_ranks([found, self._dense.search(query, most, hidden)], most)
        return [self._passages[number] for number in found]


def _topics(text: str) -> list[str]:
    """Return keys for what a text in the first person is about. No word is the same as one of them."""
    if not _FIRST_PERSON.search(text):
        return []
    return [f"#{topic}" for topic, words in _TOPICS.items() if words.search(text[:LONGEST_TURN])]


def _keys(claims: Sequence[Claim]) -> list[str]:
    """Return the stems of what was found in a message, and of what people ask about it."""
    texts = [f"{claim.slot} {claim.value} {SLOT_WORDS.get(claim.slot, '')}" for claim in claims]
    return [stem for text in dict.fromkeys(texts) for stem in content_stems(text)]
