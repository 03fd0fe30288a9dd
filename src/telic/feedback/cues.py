"""Cues: phrases that tell what a user thinks of a reply, from `data/cues.toml`. English only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from telic.episodes import Feedback, Quotation
from telic.feedback.conversation import Conversation

__all__ = ["Cue", "cues_among", "cues_of"]

_NEGATION = re.compile(
    r"(?:\bnot?|n't|\bnever|\bhardly|\bwithout|\b(?:is|are|do|did|does|was|were|could|would)nt|\bcant|\bwont|\bnothing)\b"
    r"[^.!?;,]{0,24}$"
)
"""A negation to which a word behind it belongs: in the same clause, and not far before it."""
_REACH = 32
"""Characters before a phrase in which a negation is searched."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A kind of phrase that is evidence."""

    source: str
    """The detector that looks for it."""
    name: str
    words: frozenset[str]
    """Each phrase has at least one of these, so that most texts need no search."""
    pattern: re.Pattern[str]
    """Of lower-case text with straight apostrophes."""
    reward: float
    confidence: float
    """How sure its sign is before the fit of the weights."""
    unless_negated: bool = False
    """Whether a negation shortly before the phrase cancels it."""

    def find(self, conversation: Conversation, index: int) -> tuple[int, int] | None:
        """Return the span of its first phrase in a turn, or None."""
        if self.words.isdisjoint(conversation.words[index]):
            return None
        text = conversation.texts[index]
        for found in self.pattern.finditer(text):
            start = found.start()
            if not (self.unless_negated and _NEGATION.search(text, max(0, start - _REACH), start)):
                return found.span()
        return None

    def feedback(self, conversation: Conversation, reply: int, index: int) -> Feedback | None:
        """Return feedback on a reply if the cue is in a turn, else None."""
        span = self.find(conversation, index)
        if span is None:
            return None
        start, end = span
        text = conversation.turns[index].text[start:end]
        return Feedback(
            source=self.source,
            cue=self.name,
            turn=reply,
            reward=self.reward,
            confidence=self.confidence,
            evidence=Quotation(turn=index, start=start, end=end, text=text),
            time=conversation.time_of(index),
        )


@cache
def _cues_by_word(source: str) -> Mapping[str, tuple[int, ...]]:
    """Return the numbers of a detector's cues by each of their words."""
    found: dict[str, list[int]] = {}
    for number, cue in enumerate(cues_of(source)):
        for word in cue.words:
            found.setdefault(word, []).append(number)
    return {word: tuple(numbers) for word, numbers in found.items()}


def cues_among(source: str, words: frozenset[str]) -> list[Cue]:
    """Return the cues of a detector of which a text with these words may have a phrase, in their order."""
    by_word = _cues_by_word(source)
    shared = by_word.keys() & words
    if not shared:
        return []
    cues = cues_of(source)
    return [cues[number] for number in sorted({number for word in shared for number in by_word[word]})]


@cache
def cues_of(source: str) -> tuple[Cue, ...]:
    """Return the cues of a detector."""
    return tuple(_cue(source, **table) for table in _tables()[source])


@cache
def _tables() -> dict[str, list[dict[str, Any]]]:
    text = (resources.files("telic.feedback") / "data" / "cues.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _cue(source: str, *, name: str, words: str, phrases: list[str], **meaning: Any) -> Cue:
    return Cue(source, name, frozenset(words.split()), re.compile("|".join(phrases)), **meaning)
