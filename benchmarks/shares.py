"""Shares with their 95 % intervals (Wilson)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy.stats import binomtest

__all__ = ["share", "share_of"]


def share(values: Sequence[bool]) -> dict[str, Any]:
    """Return which share of values is true, its interval and n."""
    return share_of(sum(values), len(values))


def share_of(count: int, of: int) -> dict[str, Any]:
    """Return `count / of`, its interval and n; all empty without any case."""
    interval = binomtest(count, of).proportion_ci(method="wilson") if of else None
    bounds = [round(float(interval.low), 3), round(float(interval.high), 3)] if interval is not None else None
    return {"share": round(count / of, 3) if of else None, "interval": bounds, "n": of}
