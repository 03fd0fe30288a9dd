"""The interface of extractors, and running them so that a failure shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from telic.memory.claims import Claim
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent
from telic.registry import Registry

__all__ = ["ExtractionFailure", "Extractor", "build_extractors", "extract_claims", "registry"]

MOST_CLAIMS = 50
"""Claims that one event may make; a longer list means a pasted document, of which nothing is taken."""
LONGEST_MESSAGE = 4000
"""Characters of a message beyond which it counts as a pasted document: nothing is taken from it."""


@runtime_checkable
class Extractor(Protocol):
    """Reads claims off events. It is a pure function of the event and of the settings it was made with."""

    @property
    def name(self) -> str:
        """What claims call it."""
        ...

    def extract(self, event: MemoryEvent) -> Iterable[Claim]:
        """Return what the event says about its user; it is only given what the user said or did."""
        ...


@dataclass(frozen=True, slots=True)
class ExtractionFailure:
    """An extractor that failed on an event."""

    event: str
    extractor: str
    reason: str


registry: Registry[Callable[[MemoryConfig], Extractor]] = Registry("extractor")
"""Factories of extractors by name. A plug-in adds one with the entry point `extractor:NAME`."""
registry.declare(
    explicit="telic.memory.extractors.explicit:ExplicitRequests",
    statements="telic.memory.extractors.statements:shared_statements",
    moods="telic.memory.extractors.moods:Moods",
    doubts="telic.memory.extractors.doubts:Doubts",
    edits="telic.memory.extractors.edits:EditDifferences",
    choices="telic.memory.extractors.choices:Choices",
    corrections="telic.memory.extractors.choices:Corrections",
    verdicts="telic.memory.extractors.choices:Verdicts",
)


def build_extractors(config: MemoryConfig) -> list[Extractor]:
    """Make every extractor, those of plug-ins included."""
    return [registry.get(name)(config) for name in registry.names()]


def extract_claims(extractors: Sequence[Extractor], event: MemoryEvent) -> tuple[list[Claim], list[ExtractionFailure]]:
    """Run extractors over an event. Only what the user said or did is ever given to them.

    Returns:
        The claims, and the extractors that failed. The claims of the others count.
    """
    if event.speaker != "user" or event.forgotten or len(event.text) > LONGEST_MESSAGE:
        return [], []
    claims: list[Claim] = []
    failures: list[ExtractionFailure] = []
    for extractor in extractors:
        try:
            found = list(extractor.extract(event))
        except Exception as error:  # of a plug-in it may be any
            failures.append(ExtractionFailure(event.id, extractor.name, f"{type(error).__name__}: {error}"))
        else:
            claims += found
    if len(claims) > MOST_CLAIMS:
        reason = f"{len(claims)} claims in one message, more than {MOST_CLAIMS}; none of them is kept"
        return [], [*failures, ExtractionFailure(event.id, "all", reason)]
    return claims, failures
