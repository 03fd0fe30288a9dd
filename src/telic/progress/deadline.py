"""The time until which a run may start new work."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Self

from telic.errors import ConfigError

__all__ = ["Deadline", "monotonic_seconds"]


CLOCK: Callable[[], float] = time.monotonic
"""The clock of all deadlines and forecasts, which never goes back. Tests put their own in its place."""


def monotonic_seconds() -> float:
    """Return the time in seconds."""
    return CLOCK()


class Deadline:
    """The time until which a run may start new work. What was started is finished.

    Args:
        minutes: from now on; None for no limit.
        clock: returns the time in seconds.

    Raises:
        ConfigError: the limit is not a positive number.
    """

    def __init__(self, minutes: float | None = None, clock: Callable[[], float] = monotonic_seconds) -> None:
        if minutes is not None and not 0 < minutes < math.inf:
            raise ConfigError(f"minutes is {minutes!r}; expected a number greater than 0")
        self.minutes = minutes
        """The limit, as it was asked for."""
        self.clock = clock
        self._end = math.inf if minutes is None else self.clock() + 60 * minutes

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._end < math.inf

    @property
    def remaining(self) -> float:
        """Seconds left: below zero once they are over, infinite without a limit."""
        return self._end - self.clock()

    def part(self, share: float) -> Self:
        """Return the deadline of a phase: it gets this share of the seconds left."""
        phase = type(self)(None, self.clock)
        phase.minutes = self.minutes
        phase._end = self.clock() + share * max(0.0, self.remaining) if self.limited else math.inf
        return phase
