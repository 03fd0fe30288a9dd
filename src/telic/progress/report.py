"""What is told of a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProgressCallback", "ProgressReport", "duration"]


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How far a run has come."""

    phase: str
    """What it does now, such as "tuning"; empty before the first phase."""
    done: int
    """Units done in this phase."""
    total: int | None
    """Units of this phase; None if their number is unknown."""
    unit: str
    """What is counted: replies, episodes, questions, steps."""
    tokens: int
    """Tokens generated in this phase."""
    seconds: float
    """Seconds since the phase began."""
    left: float | None
    """Forecast of the seconds left, for this phase and those to come; None while there is no forecast."""
    folder: Path | None
    """The run folder, if one is kept."""
    notices: tuple[str, ...] = ()
    """Sentences to show once: warnings, a forecast, the end of a stage. Only the report that brings them has them."""


ProgressCallback = Callable[[ProgressReport], None]
"""Gets a report for every step of a run: thousands, so it should be quick. It may be called from another thread, but
never twice at the same time. What it raises ends the run, as an interruption does."""


def duration(seconds: float) -> str:
    """Return a number of seconds in words, as precise as a forecast can be: `40 s`, `6 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
