"""Processor threads of a local model: a number that was asked for, and the cores that this process may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from telic.errors import ConfigError

__all__ = ["available_cores", "prepare_threads"]

CPUS = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's processor time and the period that it is for, in microseconds."""


def prepare_threads(threads: int | None = None) -> None:
    """Choose how many threads torch computes with. Without a number, a local model adapts it while it runs.

    Args:
        threads: their number; by default `OMP_NUM_THREADS`, if that is set.

    Raises:
        ConfigError: less than one thread.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads!r}; expected 1 or more")
    if "torch" in sys.modules:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def available_cores() -> int:
    """Count the physical cores that this process may use: its affinity, and its container's share of the machine."""
    if sys.platform != "linux":
        return psutil.cpu_count(logical=False) or 1
    cores = _physical(os.sched_getaffinity(0))
    return min(cores, _quota(QUOTA) or cores)


def _physical(cpus: set[int]) -> int:
    """Count the cores that these logical processors belong to."""
    siblings = set()
    for cpu in cpus:
        try:
            siblings.add((CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text())
        except OSError:
            siblings.add(str(cpu))
    return len(siblings)


def _quota(path: Path) -> int:
    """Cores that the container's share of processor time amounts to; 0 if there is no limit."""
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return 0
    return max(1, int(quota) // int(period)) if quota.isdigit() else 0
