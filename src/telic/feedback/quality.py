"""How good an estimate of satisfaction is: separation (AUC) and calibration, with intervals over groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from telic.statistics import Interval

__all__ = ["area_under_roc", "calibration_error", "grouped_interval"]

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]


def area_under_roc(scores: Floats, outcomes: Floats) -> float:
    """Return the probability that a good case scores higher than a bad one; ties count half. NaN without both kinds.

    Args:
        scores: [N].
        outcomes: [N], 1 for good and 0 for bad.
    """
    good = outcomes > 0.5
    n_good, n_bad = int(good.sum()), int((~good).sum())
    if not n_good or not n_bad:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[good].sum() - n_good * (n_good + 1) / 2) / (n_good * n_bad))


def calibration_error(probabilities: Floats, outcomes: Floats, bins: int = 5) -> float:
    """Return the expected calibration error, over bins of equal size (Naeini et al. 2015).

    Args:
        probabilities: [N].
        outcomes: [N], 1 or 0.
        bins: number of bins.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    apart = [len(part) * abs(probabilities[part].mean() - outcomes[part].mean()) for part in parts]
    return float(sum(apart) / len(probabilities))


def grouped_interval(
    statistic: Statistic,
    scores: Sequence[float] | Sequence[Sequence[float]],
    outcomes: Sequence[float],
    groups: Sequence[Hashable],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Estimate a statistic with a 95 % percentile interval. The bootstrap resamples whole groups.

    Two scores of each case give a paired comparison, if the statistic takes scores [N, 2]. `n` counts groups. Resamples
    without a value (with one kind of outcome only) are left out.
    """
    scores_N, outcomes_N = np.asarray(scores, float), np.asarray(outcomes, float)
    names = list(dict.fromkeys(groups))
    members = [np.flatnonzero([group == name for group in groups]) for name in names]
    value = statistic(scores_N, outcomes_N)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = np.concatenate([members[one] for one in rng.integers(0, len(names), len(names))])
        drawn.append(statistic(scores_N[rows], outcomes_N[rows]))
    known = np.array([one for one in drawn if np.isfinite(one)])
    if not np.isfinite(value) or len(known) < resamples / 2:
        return Interval(None if not np.isfinite(value) else value, None, None, len(names))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high), len(names))
