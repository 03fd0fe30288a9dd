"""Rates of success, with intervals that also hold where no attack succeeded, or all did."""

from __future__ import annotations

import math

from scipy.special import ndtri

from telic.statistics import Interval

__all__ = ["wilson"]


def wilson(successes: int, n: int, *, confidence: float = 0.95, missing: int = 0) -> Interval:
    """Estimate a probability by Wilson's score interval (1927), which also holds where no trial succeeded, or all.

    Args:
        successes: trials that succeeded.
        n: independent trials.
        confidence: level of the interval.
        missing: trials without a result, which are not among `n`.

    Raises:
        ValueError: the counts contradict each other.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"an interval needs 0 <= successes <= n, got successes={successes!r}, n={n!r}")
    if n == 0:
        return Interval(None, None, None, 0, missing)
    share, z = successes / n, float(ndtri((1 + confidence) / 2))
    centre, scale = share + z * z / (2 * n), 1 + z * z / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale), n, missing)
