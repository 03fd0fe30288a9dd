"""The number of processor threads of a local model, chosen while it runs.

Threads that share a product wait for the slowest of them. Where another program has one of two cores, two threads take
up to ten times as long as one, because each product waits for the scheduler. Letting the threads sleep while they wait
(`OMP_WAIT_POLICY=PASSIVE`) does not help: it slows them down on an idle machine too. So there are as many threads as
idle cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import torch

__all__ = ["ThreadGovernor"]

FIRST, EVERY = 1.0, 5.0
"""Seconds before the first look at the machine, and between two looks."""
SLACK = 0.3
"""Part of a core that other programs may take without costing a thread."""


class ThreadGovernor:
    """Gives torch as many threads as there are cores that other programs leave idle.

    Args:
        cores: most threads.
        machine_cores: cores of the machine, which may be more than this process may use.
        busy_seconds: returns the processor time that all programs took so far, and that of this one, in seconds.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        cores: int,
        machine_cores: int | None = None,
        busy_seconds: Callable[[], tuple[float, float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cores, self._machine_cores = cores, machine_cores or psutil.cpu_count() or cores
        self._busy_seconds, self._clock = busy_seconds or _busy_seconds, clock
        self._since, self._wait = clock(), FIRST
        self._busy = self._busy_seconds()
        self.spared = 0
        """Cores left to other threads of this process, such as a server's event loop: where those take one away from
        torch's threads for a moment, all of these wait."""

    def adapt(self) -> None:
        """Set the number of threads, unless that was done within the last few seconds."""
        passed = self._clock() - self._since
        if passed < self._wait:
            return
        busy = self._busy_seconds()
        (machine, own), (machine_before, own_before) = busy, self._busy
        others = (machine - machine_before - (own - own_before)) / passed
        self._since, self._wait, self._busy = self._clock(), EVERY, busy
        threads = max(1, min(self._cores, int(self._machine_cores - others + SLACK)) - self.spared)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)


def _busy_seconds() -> tuple[float, float]:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice as well
    return sum(times) - idle - guests, time.process_time()
