"""Which episodes a deadline leaves time for.

Episodes are admitted in their order and in whole groups: the arms of one dialogue, the trials of one task. What was
admitted is finished. So the deadline decides how many are played, but never which: an episode that turns out long is
not left out for it, and no arm of a comparison lacks a dialogue that another one has.

A group is admitted if the forecast says that it, and all that is being played, will be finished in time. The forecast
is the later of two times. All replies still to come need a while at the rate of the last ones; and an episode needs as
long as one takes at the present load, because its replies wait for each other. At the beginning few episodes are
played, and the rate rises with their number, so the forecast errs on the side of admitting too few; it is made again
with every reply.

For the first few, nobody has measured yet what a larger batch brings. They are admitted one by one, each after some
replies at the load that the one before it has made, and are taken to raise the rate by half as much, in proportion,
as they raise the load.

The first group is admitted in any case: without it there is no result. Where nobody knows how many replies an episode
takes, there is no forecast before one has ended, so a few start at once.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from telic.progress import Deadline

__all__ = ["Admission", "EpisodeTiming"]

FEW = 4
"""Episodes that do not fill a batch yet. Until there are as many, the rate says little of what a batch brings; and so
many of unknown length start before one has ended."""
WINDOW = 5.0
"""Seconds over which the rate is measured at least; later on it is the last half of the time."""
CAUTION = 1.3
"""Factor of a forecast before an episode has ended: later rounds have longer prompts, so they take longer."""
KNOWN_FROM = 0.25
"""Share of its replies from which an episode tells how fast they come. The first ones come fastest: prompts are short,
and the probes of round 0 are asked at once."""


@dataclass(eq=False)
class EpisodeTiming:
    """How far an episode has come."""

    started: float
    expected: float | None
    """Replies that it takes in all, as far as that is known."""
    replies: int = 0


@dataclass
class Admission:
    """Admits episodes for as long as a deadline leaves time for them. Its calls must not overlap."""

    deadline: Deadline
    groups: Sequence[int]
    """Sizes of the groups of episodes, in their order."""
    replies: Sequence[int] | None = None
    """Replies that each episode takes; None if nobody knows."""
    on_start: Callable[[int], None] | None = None
    """Called as each episode starts: with the replies that it takes, or with 1, for an episode, if nobody knows."""
    started: int = 0
    """Number of episodes admitted so far."""
    _active: list[EpisodeTiming] = field(default_factory=list)
    _durations: list[float] = field(default_factory=list)
    """Seconds that the episodes which have ended took."""
    _lengths: list[int] = field(default_factory=list)
    """Replies that they took."""
    _times: list[float] = field(default_factory=list)
    """When each reply came."""
    _begun: float | None = None
    _replies_before: int = 0
    """Number of replies that had come when the last episode started."""

    def __post_init__(self) -> None:
        self._starts = [0, *itertools.accumulate(self.groups)]
        """For each group, the number of its first episode."""

    def admits(self) -> bool:
        """Whether the next episode may start now."""
        if self.started >= self._starts[-1]:
            return False
        group = bisect_left(self._starts, self.started)
        if self._starts[group] != self.started:  # the rest of a group that was admitted
            return True
        at_least = 1 if self.replies else FEW
        if self.started < at_least or not self.deadline.limited:
            return True
        seconds = self._forecast(range(self.started, self._starts[group + 1]))
        return seconds is not None and seconds <= self.deadline.remaining

    def start(self) -> EpisodeTiming:
        """Note that the next episode has started."""
        now = self.deadline.clock()
        self._begun = now if self._begun is None else self._begun
        expected = self.replies[self.started] if self.replies else None
        timing = EpisodeTiming(now, expected)
        self._replies_before = len(self._times)
        self._active.append(timing)
        self.started += 1
        if self.on_start is not None:
            self.on_start(1 if expected is None else expected)
        return timing

    def reply(self, timing: EpisodeTiming) -> None:
        """Note a reply for an episode."""
        timing.replies += 1
        self._times.append(self.deadline.clock())

    def end(self, timing: EpisodeTiming) -> None:
        """Note that an episode has ended."""
        self._active.remove(timing)
        self._lengths.append(timing.replies)
        self._durations.append(self.deadline.clock() - timing.started)

    def _forecast(self, group: Iterable[int]) -> float | None:
        """Forecast the seconds until all that is played, and this group, have ended; None if nobody can tell yet."""
        rate, length = self._rate(), fmean(self._lengths) if self._lengths else None
        new = [self.replies[number] if self.replies else length for number in group]
        if rate is None or None in new:
            return None
        rest = [max(1.0, (one.expected or length or 0.0) - one.replies) for one in self._active]
        coming = [float(replies or 0) for replies in new]
        throughput = (sum(rest) + sum(coming)) / rate
        duration = self._duration()
        if self.started < FEW and self._active:
            if len(self._times) - self._replies_before < KNOWN_FROM * fmean(coming):
                return None
            throughput *= math.sqrt(len(self._active) / (len(self._active) + len(coming)))
        return max(throughput, duration) * (1.0 if self._lengths else CAUTION)

    def _rate(self) -> float | None:
        """Replies per second at the present load; None before there were some.

        The replies of a batch come in bursts. So the time that is measured begins with a reply, which is not counted.
        """
        if self._begun is None or not self._times:
            return None
        now = self.deadline.clock()
        before = bisect_right(self._times, now - max(WINDOW, (now - self._begun) / 2))
        since = self._times[before - 1] if before else self._begun
        return (len(self._times) - before) / (now - since) if now > since and before < len(self._times) else None

    def _duration(self) -> float:
        """Seconds that an episode takes at the present load."""
        now, found = self.deadline.clock(), self._durations[-len(self._active) - 1 :]
        mean = fmean(self._lengths) if self._lengths else None
        for one in self._active:
            expected = one.expected or mean
            if expected and one.replies >= KNOWN_FROM * expected:
                found = [*found, (now - one.started) * max(1.0, expected / one.replies)]
        return fmean(found) if found else 0.0
