"""What a time limit leaves of a run, before it and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telic.progress.report import duration

__all__ = ["Shortfall", "forecast_sentence"]

SUGGESTED = (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)
"""Limits that a forecast suggests, in minutes."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a run with a time limit finished, where that is less than was planned."""

    minutes: float
    """The limit."""
    parts: Mapping[str, tuple[int, int]]
    """By what was counted: how many were finished, and how many were planned."""

    @classmethod
    def of(cls, minutes: float | None, **parts: tuple[int, int]) -> Shortfall | None:
        """Return the shortfall of a run; None without a limit, or where all was finished.

        Args:
            minutes: the limit.
            **parts: how many of what were finished and planned; `_` stands for a space.
        """
        if minutes is None or all(finished >= planned for finished, planned in parts.values()):
            return None
        return cls(minutes, {name.replace("_", " "): found for name, found in parts.items()})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Shortfall:
        """Make it from what `as_dict` returned."""
        parts = {name: (int(part["finished"]), int(part["planned"])) for name, part in document["parts"].items()}
        return cls(float(document["minutes"]), parts)

    @property
    def unfinished(self) -> str:
        """What was not finished, such as "14 of 32 dialogues"."""
        return _listed({what: found for what, found in self.parts.items() if found[0] < found[1]})

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        parts = {name: {"finished": done, "planned": planned} for name, (done, planned) in self.parts.items()}
        return {"minutes": self.minutes, "parts": parts}

    def __str__(self) -> str:
        return f"--minutes {self.minutes:g}: finished {_listed(self.parts)}"


def _listed(parts: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{finished} of {planned} {what}" for what, (finished, planned) in parts.items())


def forecast_sentence(seconds: float, n: int, what: str) -> str:
    """Say how long a run takes, and what a time limit would give.

    Args:
        seconds: forecast of the whole run.
        n: number of dialogues.
        what: what they are, such as "dialogues of 8 rounds".
    """
    limit = max((one for one in SUGGESTED if 120 * one <= seconds), default=SUGGESTED[0])
    fitting = max(1, min(n, int(n * 60 * limit / max(seconds, 1e-9))))
    return f"About {duration(seconds)} for {n} {what}; --minutes {limit:g} would give about {fitting}."
