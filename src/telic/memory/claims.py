"""Claims: what one piece of evidence says about its user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["GENERAL", "Claim", "ClaimScope", "EvidenceSpan", "ForgetRequest"]


@dataclass(frozen=True, slots=True)
class ClaimScope:
    """Where a claim holds."""

    kind: Literal["general", "context", "once"] = "general"
    """`general`: everywhere. `context`: only in the situation that `words` names. `once`: only in the conversation in
    which it was said; never part of the profile."""
    words: str = ""
    """The user's own words for the situation: `when I travel for work`."""


GENERAL = ClaimScope()


@dataclass(frozen=True, slots=True)
class EvidenceSpan:
    """Characters of an event's text: `text[start:end]`."""

    event: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What an extractor read off one event."""

    slot: str
    """What it is about: `home`, `diet`, or `taste` for likes and dislikes."""
    value: str
    """A copy of the user's own words, or the name of a measured feature of an edit."""
    evidence: EvidenceSpan
    extractor: str
    polarity: Literal[1, -1] = 1
    """1: it is so, or is liked. -1: it is not so, or is disliked."""
    scope: ClaimScope = GENERAL
    time: float = 0.0
    """When it was said, in seconds since 1970."""
    weight: float = 1.0
    """Observations that it counts for; at least 1 for what the user said outright."""
    update: bool = False
    """Whether the user said that something changed, so that what was known before needs no question."""

    def as_dict(self) -> dict[str, Any]:
        """Return the claim as JSON types."""
        return {
            "slot": self.slot, "value": self.value, "polarity": self.polarity, "scope": self.scope.kind,
            "context": self.scope.words, "time": self.time, "extractor": self.extractor, "weight": self.weight,
            "event": self.evidence.event, "start": self.evidence.start, "end": self.evidence.end,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    """What a user asked to be forgotten."""

    event: str
    """The event in which they asked."""
    words: str
    """What it is about; empty for everything."""
