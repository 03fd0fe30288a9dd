"""The evidence log: what a user said or did, as an append-only list of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from telic.errors import DataError

__all__ = ["EventKind", "MemoryEvent", "Speaker", "parse_event"]

EventKind = Literal["message", "edit", "choice", "correction", "verdict", "shown", "reaction", "forget", "undo"]
"""`message`: somebody said `text`. `edit`: the user changed `data["draft"]` into `text`. `choice`: the user
took or refused what `text` names (`data`: `slot`, `taken`, `scope`). `correction`: the user set a slot by hand
(`data`: `slot`, `polarity`). `verdict`: what a model found in an earlier event (`data`: `event`, `slot`,
`start`, `end`, `polarity`). `shown`: a digest showed what `text` quotes. `reaction`: what the user thought of it
(`data["reaction"]`). `forget`: the tombstone of other events (`data["events"]`). `undo`: takes back other events
(`data["events"]`)."""

Speaker = Literal["user", "assistant", "system", "tool", "other"]

LATEST = 1e11
"""Seconds since 1970, beyond which a time is a mistake; they fit any calendar."""
LONGEST = 200
"""Longest id or source, in characters."""


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """One entry of the evidence log."""

    id: str
    """Unique within one user's log."""
    time: float
    """Seconds since 1970."""
    kind: EventKind
    source: str
    """Where it comes from: the id of a conversation, `dashboard`, `api` or `command line`."""
    speaker: Speaker
    text: str
    """What was said; empty once it was forgotten."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the kind needs besides."""

    def without_text(self) -> MemoryEvent:
        """Return the event as it is kept once it was forgotten: who spoke when, and nothing of what was said."""
        return MemoryEvent(self.id, self.time, self.kind, self.source, self.speaker, "", {"forgotten": True})

    @property
    def forgotten(self) -> bool:
        """Whether its text was removed."""
        return bool(self.data.get("forgotten"))

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON types."""
        return {
            "id": self.id, "time": self.time, "kind": self.kind, "source": self.source, "speaker": self.speaker,
            "text": self.text, "data": dict(self.data),
        }  # fmt: skip


def parse_event(value: object, where: str = "event") -> MemoryEvent:
    """Read an event from JSON types, or from a line of JSON.

    Args:
        value: a mapping, or a text with one.
        where: what errors call it.

    Raises:
        DataError: it is no event; the message names the field.
    """
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is {value!r:.80}; expected an object with id, time, kind, source, speaker and text")
    for name in ("id", "source"):
        found = value.get(name)
        if not isinstance(found, str) or not found or len(found) > LONGEST:
            raise DataError(f"{where}: {name} is {found!r:.80}; expected a text of 1 to {LONGEST} characters")
    for name, known in (("kind", get_args(EventKind)), ("speaker", get_args(Speaker))):
        if value.get(name) not in known:
            raise DataError(f"{where}: {name} is {value.get(name)!r:.80}; expected one of {', '.join(known)}")
    time, text, data = value.get("time"), value.get("text"), value.get("data", {})
    if isinstance(time, bool) or not isinstance(time, (int, float)) or not abs(time) < LATEST:
        raise DataError(f"{where}: time is {time!r:.80}; expected seconds since 1970")
    if not isinstance(text, str):
        raise DataError(f"{where}: text is {text!r:.80}; expected a text")
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: data is {data!r:.80}; expected an object")
    return MemoryEvent(value["id"], float(time), value["kind"], value["source"], value["speaker"], text, dict(data))
