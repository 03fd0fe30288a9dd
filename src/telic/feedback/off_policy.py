"""Off-policy evaluation: what a new policy would have earned, from conversations that another one held.

Each logged decision has its reward, its log-probability under the policy that took it (the behaviour) and under the new
one (the target). Estimators: importance sampling (IPS; Horvitz and Thompson 1952), self-normalised (SNIPS; Swaminathan
and Joachims 2015), doubly robust (DR; Dudík et al. 2011, arXiv 1103.4601), which adds a model of the rewards and is
right if either the model or the probabilities are. Units are independent: pass one unit for each conversation, or the
decisions with their conversations as groups.

The effective sample size (Kish 1965) says how many decisions of the target the logs are worth. Below `least`, there is
no estimate: a few large weights would decide it.

Shapes: N decisions.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from telic.errors import DataError
from telic.statistics import Interval

__all__ = ["Estimator", "OffPolicyData", "effective_sample_size", "estimate_value"]

Estimator = Literal["ips", "snips", "doubly_robust"]
LEAST = 50.0
"""Effective sample size from which there is an estimate."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OffPolicyData:
    """Logged decisions.

    Raises:
        DataError: arrays differ in length, or hold what is not finite.
    """

    rewards: Sequence[float]
    """[N]."""
    behaviour_logprobs: Sequence[float]
    """[N]: log-probability of the logged decision, as it was logged, in nats."""
    target_logprobs: Sequence[float]
    """[N]: log-probability of the same decision under the new policy. Minus infinity if it would never take it."""
    predicted: Sequence[float] | None = None
    """[N]: a model's reward of the logged decision; for `doubly_robust`."""
    predicted_target: Sequence[float] | None = None
    """[N]: the model's mean reward of the new policy's decisions in the same place; for `doubly_robust`."""
    groups: Sequence[Hashable] | None = None
    """[N]: the conversation or user of each decision; by default each decision is its own."""

    def __post_init__(self) -> None:
        n = len(self.rewards)
        for name in ("rewards", "behaviour_logprobs", "target_logprobs", "predicted", "predicted_target"):
            values = getattr(self, name)
            if values is None:
                continue
            if len(values) != n:
                raise DataError(f"{name} has {len(values)} values and rewards {n}; expected one for each decision")
            bad = np.isnan(values) | np.isposinf(values)
            if name != "target_logprobs":
                bad |= np.isneginf(values)
            if np.any(bad):
                raise DataError(f"{name} of decision {int(np.flatnonzero(bad)[0])} is not finite")
        if self.groups is not None and len(self.groups) != n:
            raise DataError(f"groups has {len(self.groups)} values and rewards {n}; expected one for each decision")

    @property
    def weights(self) -> Floats:
        """How much more likely the target is to take each decision: [N]."""
        apart = np.asarray(self.target_logprobs, float) - np.asarray(self.behaviour_logprobs, float)
        return np.asarray(np.exp(apart), float)


def effective_sample_size(data: OffPolicyData) -> float:
    """Return how many decisions of the target the logged ones are worth: (Σw)² / Σw², over groups."""
    sums_G = _sums(data.weights, _codes(data))
    squares = float(np.sum(sums_G**2))
    return float(np.sum(sums_G)) ** 2 / squares if squares else 0.0


def estimate_value(
    data: OffPolicyData, estimator: Estimator = "snips", *, least: float = LEAST, confidence: float = 0.95
) -> Interval:
    """Estimate the mean reward of a decision under the target policy.

    The interval is the delta method's (of the influence function), with Student's t over groups.

    Args:
        data: logged decisions.
        estimator: `ips` is unbiased, `snips` varies less, `doubly_robust` varies least if the model is good.
        least: effective sample size below which there is no estimate.
        confidence: level of the interval.

    Raises:
        DataError: the effective sample size is too small, or `doubly_robust` has no predictions.
    """
    size, groups_N = effective_sample_size(data), _codes(data)
    count = int(groups_N.max(initial=-1)) + 1
    if count < 2 or size < least:
        raise DataError(
            f"the logs are worth {size:.0f} of {count} independent units under the new policy; expected at least "
            f"{least:g}. The two policies differ too much: collect conversations with one closer to the new one"
        )
    values_N, base_N = _contributions(data, estimator)
    value = float(values_N.sum() / base_N.sum())
    influence_G = _sums(values_N - value * base_N, groups_N) / (base_N.sum() / count)
    spread = float(np.std(influence_G, ddof=1)) / np.sqrt(count)
    reach = float(stdtrit(count - 1, (1 + confidence) / 2)) * spread
    return Interval(value, value - reach, value + reach, count)


def _contributions(data: OffPolicyData, estimator: Estimator) -> tuple[Floats, Floats]:
    """Return what each decision adds to the numerator and to the denominator of an estimate."""
    weights_N, rewards_N = data.weights, np.asarray(data.rewards, float)
    ones_N = np.ones(len(rewards_N))
    if estimator == "ips":
        return weights_N * rewards_N, ones_N
    if estimator == "snips":
        return weights_N * rewards_N, weights_N
    if data.predicted is None or data.predicted_target is None:
        raise DataError("doubly_robust needs a model of the rewards: pass predicted and predicted_target")
    residual_N = rewards_N - np.asarray(data.predicted, float)
    return np.asarray(data.predicted_target, float) + weights_N * residual_N, ones_N


def _codes(data: OffPolicyData) -> npt.NDArray[np.int_]:
    if data.groups is None:
        return np.arange(len(data.rewards))
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(group, len(seen)) for group in data.groups], dtype=int)


def _sums(values_N: Floats, groups_N: npt.NDArray[np.int_]) -> Floats:
    return np.asarray(np.bincount(groups_N, values_N, int(groups_N.max(initial=-1)) + 1), float)
