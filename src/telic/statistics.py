"""Estimates with their uncertainty: bootstrap intervals, paired tests, correlation, pass^k.

The bootstrap resamples dialogues, never single answers, because the answers of one dialogue share its history. Missing
values (None) are left out and counted. Everything is seeded: the same data give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

__all__ = [
    "Interval",
    "PairedDifference",
    "bootstrap_clustered",
    "bootstrap_grouped",
    "bootstrap_mean",
    "bootstrap_ratio",
    "bootstrap_sums",
    "correlation",
    "holm",
    "mean",
    "paired_difference",
    "pass_hat_k",
]

Floats = npt.NDArray[np.float64]

MAX_ELEMENTS = 2**22  # of one block of resamples: 32 MB
EXACT_FLIPS = 12  # up to this many pairs all 2^n sign flips are enumerated


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its interval."""

    value: float | None
    """None where nothing could be estimated."""
    low: float | None
    """None where the data do not determine an interval, e.g. n = 1."""
    high: float | None
    n: int
    """Number of units behind the estimate: values, pairs or clusters."""
    missing: int = 0
    """Number of missing values, which were left out."""

    def exp(self) -> Interval:
        """Return the exponential of the estimate and of the interval's ends, which is exact because it is monotonic."""
        value, low, high = (None if x is None else math.exp(x) for x in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def __str__(self) -> str:
        if self.value is None:
            return "missing"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A paired difference `a - b`, with two-sided p-values of the hypothesis that it is zero."""

    difference: Interval
    p: float | None
    """Sign-flip permutation test: exact up to 12 pairs, else Monte Carlo. None for fewer than two."""
    p_bootstrap: float | None
    """Share of the resampled means, centred on zero, that are at least as far from zero as the observed mean."""


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None without any."""
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else None


def bootstrap_mean(
    values: Sequence[float | None],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    expand: bool = True,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Estimate a mean with a percentile bootstrap interval.

    If all values are equal, so are all resamples, and the bootstrap cannot estimate the spread. With `bounds` the
    interval is then exact: up to a share of `1 - (alpha / 2)^(1 / n)` of all values may still lie at a bound
    (the rule of three). Without bounds there is no interval.

    Args:
        values: one per independent unit; None is missing.
        confidence: level of the interval.
        resamples: number of bootstrap resamples.
        seed: random seed of the resampling.
        expand: correct the percentiles for small n, where the plain bootstrap is too narrow (Hesterberg 2015,
            "What Teachers Should Know About the Bootstrap", the expanded percentile interval).
        bounds: the smallest and largest possible value, if there are such.
    """
    present = np.array([value for value in values if value is not None], dtype=np.float64)
    n, missing = len(present), len(values) - len(present)
    if n == 0:
        return Interval(None, None, None, 0, missing)
    value = float(present.mean())
    low: float | None = None
    high: float | None = None
    if np.ptp(present) == 0:
        value = float(present[0])
        if bounds is not None and n > 1:
            unseen = 1 - ((1 - confidence) / 2) ** (1 / n)
            low, high = (value + unseen * (bound - value) for bound in bounds)
    else:
        means = _resampled_sums(present[:, None], resamples, seed)[:, 0] / n
        low, high = _percentiles(means, n, confidence, expand)
    return Interval(value, low, high, n, missing)


def bootstrap_clustered(
    clusters: Iterable[Sequence[float | None]],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Estimate the mean of the clusters' means. The bootstrap resamples whole clusters.

    `n` counts the clusters that hold a value, `missing` the single values that are missing.
    """
    groups = [list(cluster) for cluster in clusters]
    means = [mean(group) for group in groups if any(value is not None for value in group)]
    missing = sum(value is None for group in groups for value in group)
    found = bootstrap_mean(means, confidence=confidence, resamples=resamples, seed=seed, bounds=bounds)
    return replace(found, missing=missing)


def bootstrap_ratio(
    numerators: Sequence[float | None],
    denominators: Sequence[float | None],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Estimate the ratio of two means over the same units, which are resampled together.

    A unit that lacks either value is left out. If the denominators sum to zero, there is no value; if those of some
    resample do, there is no interval.
    """
    pairs, missing = _pairs(numerators, denominators)
    found = bootstrap_sums(pairs, _first_by_second, confidence=confidence, resamples=resamples, seed=seed)
    return replace(found, missing=missing)


def bootstrap_sums(
    rows: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Estimate a function of the sums over all units, which are resampled.

    Args:
        rows: what each unit adds to the sums, [units, columns].
        statistic: of sums [..., columns]. NaN for the data means no value, and NaN for a resample no interval.
        confidence: level of the interval.
        resamples: number of bootstrap resamples.
        seed: of the resampling.
    """
    n = len(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(rows.sum(axis=0)))  # NaN without rows
        drawn = statistic(_resampled_sums(rows, resamples, seed)) if n > 1 else np.array(value)
    if not math.isfinite(value):
        return Interval(None, None, None, n)
    if not np.isfinite(drawn).all() or np.ptp(drawn) == 0:
        return Interval(value, None, None, n)
    return Interval(value, *_percentiles(drawn, n, confidence), n)


def bootstrap_grouped(
    values: Sequence[float | None],
    groups: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Estimate the mean of the values. The bootstrap resamples whole groups, which may be of different sizes.

    `bounds`: see `bootstrap_mean`. `n` counts groups with a value, `missing` the values that are None.
    """
    own: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        if value is not None:
            own.setdefault(group, []).append(value)
    missing = len(values) - sum(map(len, own.values()))
    rows = np.array([(math.fsum(group), len(group)) for group in own.values()], dtype=np.float64).reshape(-1, 2)
    found = bootstrap_sums(rows, _first_by_second, confidence=confidence, resamples=resamples, seed=seed)
    if found.value is not None and found.low is None:  # all resamples have the same value
        found = bootstrap_mean((rows[:, 0] / rows[:, 1]).tolist(), confidence=confidence, seed=seed, bounds=bounds)
    return replace(found, missing=missing)


def paired_difference(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> PairedDifference:
    """Estimate the mean of `a - b` over pairs, and test it against zero. A pair that lacks a value is left out.

    Args:
        a: one value per unit.
        b: values of the same units, in the same order.
        confidence: level of the interval.
        resamples: number of bootstrap resamples, and of random sign flips where there are too many to enumerate.
        seed: random seed of both.
        bounds: the smallest and largest possible difference, if there are such; see `bootstrap_mean`.
    """
    pairs, missing = _pairs(a, b)
    differences = pairs[:, 0] - pairs[:, 1]
    n = len(differences)
    found = bootstrap_mean(differences.tolist(), confidence=confidence, resamples=resamples, seed=seed, bounds=bounds)
    interval = Interval(found.value, found.low, found.high, n, missing)
    if n < 2:  # the sign of a single difference tests nothing
        return PairedDifference(interval, None, None)
    means = _resampled_sums(differences[:, None], resamples, seed)[:, 0] / n
    observed = abs(differences.mean())
    p_bootstrap: float | None = None
    if np.ptp(differences) > 0:
        p_bootstrap = _share(np.abs(means - differences.mean()) >= observed - _slack(differences))
    return PairedDifference(interval, _sign_flip(differences, resamples, seed), p_bootstrap)


def correlation(
    x: Sequence[float | None],
    y: Sequence[float | None],
    clusters: Sequence[object] | None = None,
    *,
    within: Sequence[object] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Estimate Pearson's correlation, with an interval from resampling whole clusters.

    Args:
        x: values.
        y: values of the same observations.
        clusters: the cluster of each observation; by default each observation is its own.
        within: the group of each observation. Each group is centred on its mean first, so that the correlation is
            that within groups (Bakdash & Marusich 2017, "Repeated Measures Correlation").
        confidence: level of the interval.
        resamples: number of bootstrap resamples.
        seed: random seed of the resampling.

    Returns:
        The correlation; `n` counts clusters. There is no value for fewer than three observations, or if `x` or `y`
        does not vary. There is no interval for fewer than three clusters, or if more than a tenth of the resamples
        have no value.
    """
    pairs, missing = _pairs(x, y)
    keep = [i for i, (p, q) in enumerate(zip(x, y, strict=True)) if p is not None and q is not None]
    names = keep if clusters is None else [clusters[i] for i in keep]
    n = len(set(names))
    no_estimate = Interval(None, None, None, n, missing)
    if len(pairs) < 3:
        return no_estimate
    if within is None:
        centred = pairs - pairs.mean(axis=0)
    else:
        group = _codes([within[i] for i in keep])
        centred = pairs - (_group_sums(pairs, group) / np.bincount(group)[:, None])[group]
    moments = np.column_stack([np.ones(len(centred)), centred, centred**2, centred.prod(axis=1)])
    by_cluster = _group_sums(moments, _codes(names))
    value = _pearson(by_cluster.sum(axis=0))
    if np.isnan(value):
        return no_estimate
    drawn = _pearson(_resampled_sums(by_cluster, resamples, seed))
    drawn = drawn[~np.isnan(drawn)]
    if n < 3 or len(drawn) < 0.9 * resamples or np.ptp(drawn) == 0:
        return Interval(float(value), None, None, n, missing)
    return Interval(float(value), *_percentiles(drawn, n, confidence), n, missing)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number (Holm 1979). They stay in order; None stays None and is not counted."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = largest
    return adjusted


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Estimate pass^k, the probability that k independent trials all succeed: C(c, k) / C(n, k).

    The estimate is unbiased (Yao et al. 2024, arXiv 2406.12045).

    Args:
        n: trials.
        c: trials that succeeded.
        k: trials that all have to succeed.

    Raises:
        ValueError: the counts contradict each other.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass^k needs 0 <= c <= n and 1 <= k <= n, got n={n!r}, c={c!r}, k={k!r}")
    return math.comb(c, k) / math.comb(n, k)


def _pairs(x: Sequence[float | None], y: Sequence[float | None]) -> tuple[Floats, int]:
    """Return the complete pairs as rows, and the number of incomplete ones."""
    rows = [(p, q) for p, q in zip(x, y, strict=True) if p is not None and q is not None]
    return np.array(rows, dtype=np.float64).reshape(-1, 2), len(x) - len(rows)


def _first_by_second(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _resampled_sums(rows: Floats, resamples: int, seed: int) -> Floats:
    """Return the column sums of each resample of the rows, computed in blocks that bound the memory."""
    rng = np.random.default_rng(seed)
    n, columns = rows.shape
    block = max(1, MAX_ELEMENTS // (n * columns))
    sums = [
        rows[rng.integers(0, n, (min(block, resamples - start), n))].sum(axis=1) for start in range(0, resamples, block)
    ]
    return np.concatenate(sums)


def _percentiles(drawn: Floats, n: int, confidence: float, expand: bool = True) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    if expand:
        tail = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, tail)))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _sign_flip(differences: Floats, resamples: int, seed: int) -> float:
    """Return the p-value of the mean under random signs: under the hypothesis that the members of a pair are alike."""
    n = len(differences)
    threshold = abs(differences.sum()) - n * _slack(differences)
    if n <= EXACT_FLIPS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ differences) >= threshold))
    rng = np.random.default_rng(seed)
    block = max(1, MAX_ELEMENTS // n)
    extreme = [
        np.abs(rng.choice([-1.0, 1.0], (min(block, resamples - start), n)) @ differences) >= threshold
        for start in range(0, resamples, block)
    ]
    return _share(np.concatenate(extreme))


def _share(extreme: npt.NDArray[np.bool_]) -> float:
    """Return a Monte Carlo p-value. The data count as one draw, so that it is never zero."""
    return float((1 + extreme.sum()) / (1 + len(extreme)))


def _slack(values: Floats) -> float:
    """Return the tolerance for rounding: a draw that ties with the data must count as a tie."""
    return float(1e-12 * np.abs(values).max())


def _codes(names: Sequence[object]) -> npt.NDArray[np.intp]:
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.intp)


def _group_sums(rows: Floats, group: npt.NDArray[np.intp]) -> Floats:
    sums = np.zeros((group.max() + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    return sums


def _pearson(moments: Floats) -> Floats:
    """Return the correlation from sums of 1, x, y, x², y², xy in the last axis; NaN where x or y does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    var_x, var_y = xx - x * x / n, yy - y * y / n
    flat = (var_x <= 1e-12 * xx) | (var_y <= 1e-12 * yy)
    scale = np.sqrt(np.where(flat, 1.0, var_x * var_y))
    return np.asarray(np.where(flat, np.nan, np.clip((xy - x * y / n) / scale, -1, 1)))
