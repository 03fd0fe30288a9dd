"""What users did: options taken and refused, values set by hand, and what a model found in their words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from telic.errors import DataError
from telic.memory.claims import GENERAL, Claim, ClaimScope, EvidenceSpan
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.words import is_instruction

__all__ = ["CHOICE_WEIGHT", "Choices", "Corrections", "Verdicts"]

CHOICE_WEIGHT = 0.5
"""Observations that one choice counts for: what people take says less than what they say."""


class Choices:
    """Counts what a user took or refused; `text` names it."""

    name = "choices"

    def __init__(self, _config: MemoryConfig) -> None:
        pass

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield a weak claim for an option taken or refused."""
        if event.kind != "choice" or not event.text.strip() or is_instruction(event.text):
            return
        words = str(event.data.get("scope", ""))
        yield Claim(
            slot=_text(event, "slot", "taste"),
            value=event.text,
            evidence=EvidenceSpan(event.id, 0, len(event.text)),
            extractor=self.name,
            polarity=1 if event.data.get("taken", True) else -1,
            scope=ClaimScope("context", words) if words else GENERAL,
            time=event.time,
            weight=CHOICE_WEIGHT,
        )


class Corrections:
    """Takes what a user set by hand, in the dashboard or by the API. It replaces what was known."""

    name = "corrections"

    def __init__(self, _config: MemoryConfig) -> None:
        pass

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield the value that was set."""
        if event.kind != "correction" or not event.text.strip() or is_instruction(event.text):
            return
        yield Claim(
            slot=_text(event, "slot", "note"),
            value=event.text,
            evidence=EvidenceSpan(event.id, 0, len(event.text)),
            extractor=self.name,
            polarity=-1 if event.data.get("polarity", 1) == -1 else 1,
            time=event.time,
            weight=4.0,  # said on purpose, and with what was believed before the user's eyes
            update=True,
        )


class Verdicts:
    """Takes what a model found in an earlier message; its span is a copy of the user's own words."""

    name = "scorer"

    def __init__(self, _config: MemoryConfig) -> None:
        pass

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield the claim of a verdict.

        Raises:
            DataError: the verdict names no message or no span.
        """
        if event.kind != "verdict" or is_instruction(event.text):
            return
        data: Any = event.data
        message, start, end = data.get("event"), data.get("start"), data.get("end")
        if not isinstance(message, str) or not isinstance(start, int) or not isinstance(end, int) or start >= end:
            raise DataError(f"verdict {event.id!r} has no message and span")
        yield Claim(
            slot=_text(event, "slot", "note"),
            value=event.text,
            evidence=EvidenceSpan(message, start, end),
            extractor=self.name,
            polarity=-1 if data.get("polarity", 1) == -1 else 1,
            time=event.time,
            weight=0.7,
        )


def _text(event: MemoryEvent, name: str, default: str) -> str:
    value = event.data.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"event {event.id!r}: {name} is {value!r}; expected a text")
    return " ".join(value.split()).casefold()
