"""A quantity with controls and without, over the same units."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from telic.statistics import Interval, bootstrap_mean, paired_difference

__all__ = ["Change"]


class Change(BaseModel):
    """Means with and without the controls, and their paired difference. Intervals are 95 % bootstrap intervals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    controlled: Interval
    baseline: Interval
    """Without the controls."""
    difference: Interval
    """Controlled minus baseline, over the units that have both."""
    p: float | None
    """Two-sided sign-flip permutation test of no difference."""

    @classmethod
    def of(
        cls,
        controlled: Sequence[float | None],
        baseline: Sequence[float | None],
        *,
        bounds: tuple[float, float] | None = None,
        resamples: int = 2000,
        seed: int = 0,
    ) -> Change:
        """Compare values of the same units in the same order; `bounds` is the range of a value, if it has one."""
        comparison = paired_difference(
            controlled,
            baseline,
            resamples=resamples,
            seed=seed,
            bounds=None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0]),
        )
        return cls(
            controlled=bootstrap_mean(controlled, resamples=resamples, seed=seed, bounds=bounds),
            baseline=bootstrap_mean(baseline, resamples=resamples, seed=seed, bounds=bounds),
            difference=comparison.difference,
            p=comparison.p,
        )
