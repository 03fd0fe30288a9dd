"""Counting what a run has done, and forecasting how long the rest takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telic.progress.deadline import Deadline, monotonic_seconds
from telic.progress.display import ProgressDisplay
from telic.progress.report import ProgressCallback, ProgressReport, duration

__all__ = ["Phase", "ProgressTracker", "track"]

CALIBRATION = 10.0
"""Seconds before there is a forecast: the first replies wait for a whole batch, so they say little of the others."""
LONG = 120.0
"""Seconds from which a forecast is announced."""
OVER = "The time limit is reached. Finishing what was started"


class GeneratedTokens(Protocol):
    """A reply, of which only its length counts here."""

    @property
    def new_tokens(self) -> int:
        """Tokens that were generated."""
        ...


@dataclass(eq=False)
class Phase:
    """A part of a run with a number of units of its own."""

    name: str
    unit: str
    total: int | None = None
    """Number of units; None if it is unknown."""
    weight: float = 1.0
    """Time of a unit relative to those of the other phases, as far as it is known before one was timed."""
    started_units: int = 0
    """Units of what was started: they are finished, even if the time is over. 0 where nobody says."""
    done: int = 0
    tokens: int = 0
    started: float | None = None
    seconds: float = 0.0
    """Time from the start of the phase to the last unit."""

    @property
    def remaining(self) -> int:
        """Number of units still to come, as far as they are known."""
        return max(0, (self.total or 0) - self.done)


class ProgressTracker:
    """Counts what a run has done and reports it.

    Args:
        callback: gets the reports; None for no reports.
        clock: returns the time in seconds.
    """

    def __init__(
        self, callback: ProgressCallback | None = None, clock: Callable[[], float] = monotonic_seconds
    ) -> None:
        self._callback, self._clock = callback, clock
        self._lock = threading.RLock()
        self._phases: list[Phase] = []
        self._current: Phase | None = None
        self._folder: Path | None = None
        self._forecast: Callable[[float], str] | None = None
        self._deadline: Deadline | None = None
        self._time_is_over = False
        self._started = clock()

    def start(
        self,
        folder: Path | None = None,
        warnings: Sequence[str] = (),
        phases: Sequence[Phase] = (),
        forecast: Callable[[float], str] | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        """Report the start of a run.

        Args:
            folder: the run folder.
            warnings: sentences to show.
            phases: what is to come, in its order.
            forecast: says in a sentence what a forecast of the whole run, in seconds, means for it. With a time limit
                there is none: the run goes on for as long as that.
            deadline: of the run, which bounds the time left.
        """
        self._folder, self._phases, self._forecast, self._deadline = folder, list(phases), forecast, deadline
        if deadline is not None and deadline.limited:
            self._forecast = None
        self._started = self._clock()
        self.notify(*warnings)

    def begin(self, name: str, total: int | None = None) -> None:
        """Begin a phase: one of those announced, or another one.

        Args:
            name: of the phase.
            total: number of its units, if it differs from what was announced.
        """
        with self._lock:
            found = next((phase for phase in self._phases if phase.name == name), None)
            if found is None:
                self._phases.append(found := Phase(name, "steps"))
            for earlier in self._phases[: self._phases.index(found)]:
                earlier.total = earlier.done  # what was left out is not to come
            found.total = found.total if total is None else total
            found.started = self._clock()
            self._current = found
            self._report()

    def expect(self, units: int) -> None:
        """Count units of the current phase that were started, so that they will be finished whatever the time."""
        with self._lock:
            if self._current is not None:
                self._current.started_units += units

    def advance(self, units: int = 1, tokens: int = 0) -> None:
        """Count units of the current phase, and the tokens that were generated for them."""
        with self._lock:
            if (phase := self._current) is None:
                return
            self._count(phase, phase.total, phase.done + units, phase.tokens + tokens)

    def count_reply(self, reply: GeneratedTokens) -> None:
        """Count a reply as a unit, with its tokens."""
        self.advance(1, reply.new_tokens)

    def count_tokens(self, reply: GeneratedTokens) -> None:
        """Count the tokens of a reply, where the unit is something larger."""
        self.advance(0, reply.new_tokens)

    def reach(self, done: int, total: int) -> None:
        """Set how many units of the current phase are done, and how many there are."""
        with self._lock:
            if self._current is not None:
                self._count(self._current, total, done, self._current.tokens)

    def follow(self, report: ProgressReport) -> None:
        """Take over the counts of a run that is the current phase of this one."""
        with self._lock:
            if (phase := self._current) is None or not report.phase:
                return
            self._count(phase, report.total, report.done, report.tokens)

    def notify(self, *sentences: str) -> None:
        """Show sentences once."""
        with self._lock:
            self._report(sentences)

    def share(self) -> float:
        """Forecast the share of the time left that the current phase takes; 1 where nothing else is to come."""
        with self._lock:
            if self._current is None or not (whole := sum(map(self._seconds_left, self._phases))):
                return 1.0
            return self._seconds_left(self._current) / whole

    def _seconds_left(self, phase: Phase) -> float:
        """Forecast the seconds of a phase, or their relation to those of other phases before anything was timed."""
        seconds = self._seconds_per_unit(phase)
        return phase.remaining * (phase.weight if seconds is None else seconds)

    def _count(self, phase: Phase, total: int | None, done: int, tokens: int) -> None:
        if done > phase.done:
            phase.seconds = self._clock() - (phase.started or 0.0)
        phase.total, phase.done, phase.tokens = total, done, tokens
        self._report(self._announcement() if self._callback else ())

    def _announcement(self) -> tuple[str, ...]:
        """The forecast in a sentence, once: when it is known, if the run is long and most of it is still to come."""
        elapsed, left = self._clock() - self._started, self._left()
        if self._forecast is None or left is None or elapsed < CALIBRATION:
            return ()
        share = elapsed / (elapsed + left)
        if share < 0.03 and elapsed < 3 * CALIBRATION:
            return ()
        announce, self._forecast = self._forecast, None
        return (announce(elapsed + left),) if elapsed + left > LONG and share < 0.5 else ()

    def _left(self) -> float | None:
        """Forecast the seconds left, of the current phase and of those to come, without the time limit."""
        left = 0.0
        for phase in self._phases:
            if phase.remaining:
                seconds = self._seconds_per_unit(phase)
                if seconds is None:
                    return None
                left += phase.remaining * seconds
        return left

    def _seconds_per_unit(self, phase: Phase) -> float | None:
        """Time of a unit: in this phase, else in others with the same unit, else by the weights."""
        timed = [other for other in self._phases if other.done and other.seconds > 0]
        for alike in ([phase], [p for p in timed if p.unit == phase.unit and p.weight == phase.weight], timed):
            weighted = sum(other.done * other.weight for other in alike if other in timed)
            if weighted:
                return phase.weight * sum(other.seconds for other in alike) / weighted
        return None

    def _seconds_of_started(self, phase: Phase) -> float | None:
        """Forecast the seconds until what the current phase has started is finished; None if nobody can tell."""
        seconds, units = self._seconds_per_unit(phase), phase.started_units - phase.done
        return None if seconds is None or units <= 0 else units * seconds

    @staticmethod
    def _within_limit(left: float | None, limit: float, started: float | None) -> float | None:
        """Bound the seconds left by the time limit, or by what was started, which is finished all the same."""
        if limit <= 0 or (started is not None and started > limit):
            return started
        return limit if left is None else min(left, limit)

    def _report(self, notices: Sequence[str] = ()) -> None:
        if self._callback is None:
            return
        now, phase = self._clock(), self._current or Phase("", "")
        left = self._left() if now - self._started >= CALIBRATION else None
        if self._deadline is not None and self._deadline.limited:
            limit, rest = self._deadline.remaining, self._seconds_of_started(phase)
            left = self._within_limit(left, limit, rest)
            if limit <= 0 and not self._time_is_over:
                over = f"{OVER}." if left is None else f"{OVER}: about {duration(left)} left."
                self._time_is_over, notices = True, (*notices, over)
        seconds = now - phase.started if phase.started is not None else 0.0
        self._callback(
            ProgressReport(
                phase.name, phase.done, phase.total, phase.unit, phase.tokens, seconds, left, self._folder,
                tuple(notices),
            )
        )  # fmt: skip


@contextmanager
def track(progress: bool | ProgressCallback) -> Iterator[ProgressTracker]:
    """Track the progress of a call.

    Args:
        progress: what gets the reports: True for a display on standard error, False for none.
    """
    if progress is True:
        with ProgressDisplay() as display:
            yield ProgressTracker(display)
    else:
        yield ProgressTracker(progress or None)
