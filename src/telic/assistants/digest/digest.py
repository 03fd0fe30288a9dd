"""A digest: its entries in order, and what could not be read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from telic.assistants.digest.ranking import Scores
from telic.assistants.digest.stories import DigestStory

__all__ = ["Digest", "Entry", "SourceFailure"]


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """A source that could not be read."""

    source: str
    why: str

    def __str__(self) -> str:
        return f"{self.source} could not be read: {self.why}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One story of a digest."""

    number: int
    """Its place, from 1."""
    story: DigestStory
    summary: str
    reasons: tuple[str, ...]
    """Why it is here, the strongest reason first."""
    scores: Scores
    summary_by: Literal["item", "model"] = "item"
    """Whose words the summary is in."""

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON types."""
        item = self.story.item
        return {
            "number": self.number, "id": item.id, "title": item.title, "link": item.link, "source": item.source,
            "author": item.author, "kind": item.kind, "time": item.time, "summary": self.summary,
            "summary_by": self.summary_by, "reasons": list(self.reasons), "warnings": list(item.warnings),
            "also": [{"source": one.source, "title": one.title, "link": one.link} for one in self.story.also],
            "score": round(self.scores.total, 4),
            "scores": {name: round(value, 4) for name, value in asdict(self.scores).items()},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Digest:
    """What a user is shown."""

    id: str
    time: float
    """Seconds since 1970."""
    entries: tuple[Entry, ...]
    failures: tuple[SourceFailure, ...] = ()
    repeated: int = 0
    """Items that earlier digests have shown."""
    avoided: int = 0
    """Stories that are like what the user never wants to see."""
    items: int = 0
    """Items that were read."""
    sources: int = 0
    """Sources, with those that failed."""

    @property
    def headline(self) -> str:
        """What it found, in one sentence."""
        shown = f"{len(self.entries)} of {self.items} items" if self.entries else "Nothing new"
        left = [f"{self.repeated} were shown before"] if self.repeated else []
        left += [f"{self.avoided} are like what you never want to see"] if self.avoided else []
        ok = self.sources - len(self.failures)
        return f"{shown} from {ok} of {self.sources} sources" + (f" ({'; '.join(left)})" if left else "") + "."

    def as_dict(self) -> dict[str, Any]:
        """Return the digest as JSON types."""
        return {
            "id": self.id, "time": self.time, "headline": self.headline,
            "entries": [entry.as_dict() for entry in self.entries],
            "failures": [asdict(failure) for failure in self.failures],
            "repeated": self.repeated, "avoided": self.avoided, "items": self.items, "sources": self.sources,
        }  # fmt: skip
