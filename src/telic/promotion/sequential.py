"""Sequential tests by betting: valid however often, and whenever, one looks at the data.

A bettor starts with a capital of 1 and bets on each observation x in [0, 1] before seeing it that the mean is below m.
Under the hypothesis that the mean is at least m (given the past), the capital Π (1 - λ (x - m)) is a nonnegative
supermartingale if 0 <= λ <= 1 / (1 - m) is chosen from the past alone. By Ville's inequality it exceeds 1 / α at any
time with probability at most α, so one may stop at the first time that it does (Howard, Ramdas, McAuliffe and Sekhon
2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences", arXiv 1810.08240). The means that the capital
of both directions does not refute are a confidence sequence (Waudby-Smith and Ramdas 2023, "Estimating means of bounded
random variables by betting", arXiv 2010.09686, section 4). The bets are aGRAPA's (their appendix B.3), which follow the
mean and the variance so far.

Shapes: N observations, M means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from telic.statistics import Floats, Interval

__all__ = ["capital_against", "confidence_sequence"]

CAUTION = 0.5
"""Largest share of the capital that is bet: so no single observation ruins it."""
GRID = 401
"""Means that a confidence sequence tries."""
MAX_ELEMENTS = 2**20
"""Of one block of observations and means: some 50 MB."""


def capital_against(values: Sequence[float] | Floats, mean: float, *, above: bool) -> Floats:
    """Return the capital after each observation of a bet against a hypothesis about the mean.

    Args:
        values: observations in [0, 1], in the order in which they came.
        mean: the bound of the hypothesis.
        above: the hypothesis is that the mean is at least `mean`; otherwise that it is at most `mean`.

    Returns:
        [N]: the hypothesis may be rejected at level α as soon as one of them is 1 / α or more.
    """
    x_N = _checked(values)
    if above:
        x_N, mean = 1 - x_N, 1 - mean
    return np.asarray(np.exp(_log_capital(x_N, np.array([mean]))[:, 0]), float)


def confidence_sequence(
    values: Sequence[float], *, alpha: float = 0.05, bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """Estimate a mean with an interval that may be looked at after every observation.

    With probability at least 1 - alpha, the mean lies in the intervals of all times.

    Args:
        values: observations within the bounds, in the order in which they came.
        alpha: probability that some interval misses the mean.
        bounds: the smallest and largest possible value.
    """
    low, high = bounds
    if not values:
        return Interval(None, low, high, 0)
    x_N = _checked((np.asarray(values, float) - low) / (high - low))
    means_M = np.linspace(0, 1, GRID)
    blocks = np.array_split(means_M, -(-len(x_N) * GRID // MAX_ELEMENTS))
    largest_M = np.concatenate([_largest_log_capital(x_N, block) for block in blocks])
    kept_M = means_M[largest_M < np.log(2 / alpha)]  # each direction has half of alpha
    ends = (kept_M.min(), kept_M.max()) if len(kept_M) else (x_N.mean(), x_N.mean())
    step = 1 / (GRID - 1)  # the ends lie between the last refuted mean and the first that is not
    reach = max(0.0, float(ends[0]) - step), min(1.0, float(ends[1]) + step)
    value, below, above = (low + (high - low) * float(one) for one in (x_N.mean(), *reach))
    return Interval(value, below, above, len(x_N))


def _largest_log_capital(x_N: Floats, means_M: Floats) -> Floats:
    """Compute the largest log of the capital, [M], of bets in both directions."""
    up_M, down_M = (_log_capital(*side).max(axis=0) for side in ((x_N, means_M), (1 - x_N, 1 - means_M)))
    return np.asarray(np.maximum(up_M, down_M), float)


def _log_capital(x_N: Floats, means_M: Floats) -> Floats:
    """Compute the log of the capital, [N, M], of bets that the mean is greater than each of `means_M`."""
    counts_N = np.arange(len(x_N))
    before_N = np.concatenate([[0.0], np.cumsum(x_N)[:-1]])
    mean_N = (0.5 + before_N) / (1 + counts_N)  # as if 1/2 had been seen before
    apart_N = (x_N - np.append(mean_N[1:], (0.5 + x_N.sum()) / (1 + len(x_N)))) ** 2
    variance_N = (0.25 + np.concatenate([[0.0], np.cumsum(apart_N)[:-1]])) / (1 + counts_N)
    gain_N_M = mean_N[:, None] - means_M
    bets_N_M = gain_N_M / (variance_N[:, None] + gain_N_M**2)
    largest_M = CAUTION / np.maximum(means_M, 1e-12)
    bets_N_M = np.clip(bets_N_M, 0, largest_M)
    return np.cumsum(np.log1p(bets_N_M * (x_N[:, None] - means_M)), axis=0)


def _checked(values: Sequence[float] | Floats) -> Floats:
    x_N = np.asarray(values, float)
    if x_N.size and not (np.isfinite(x_N).all() and x_N.min() >= -1e-9 and x_N.max() <= 1 + 1e-9):
        raise ValueError(f"the observations lie in [{x_N.min()!r}, {x_N.max()!r}]; expected [0, 1]")
    return np.asarray(np.clip(x_N, 0, 1), float)
