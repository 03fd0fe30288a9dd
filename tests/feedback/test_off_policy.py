"""Off-policy estimates in simulations where the truth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from telic.errors import DataError
from telic.feedback.off_policy import Estimator, OffPolicyData, effective_sample_size, estimate_value

ESTIMATORS: tuple[Estimator, ...] = ("ips", "snips", "doubly_robust")
BEHAVIOUR, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
MEANS = np.array([0.2, 0.5, 0.7])
TRUTH = float(TARGET @ MEANS)


def logged(rng: np.random.Generator, n: int, *, error: float = 0.1, clusters: int | None = None) -> OffPolicyData:
    """Log decisions of the behaviour. The model of the rewards is off by `error`; conversations differ if clustered."""
    actions = rng.choice(3, n, p=BEHAVIOUR)
    groups = None if clusters is None else (np.arange(n) % clusters).tolist()
    moods = np.zeros(n) if clusters is None else rng.normal(0, 0.15, clusters)[np.arange(n) % clusters]
    rewards = (rng.random(n) < np.clip(MEANS[actions] + moods, 0, 1)).astype(float)
    model = MEANS + error
    return OffPolicyData(
        rewards.tolist(), np.log(BEHAVIOUR[actions]).tolist(), np.log(TARGET[actions]).tolist(),
        model[actions].tolist(), [float(TARGET @ model)] * n, groups,
    )  # fmt: skip


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("clusters", [None, 60])
def test_the_interval_covers_the_truth(estimator: Estimator, clusters: int | None) -> None:
    covered, trials = 0, 300
    for seed in range(trials):
        found = estimate_value(logged(np.random.default_rng(seed), 300, clusters=clusters), estimator, least=20)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= TRUTH <= found.high
    assert covered / trials >= 0.9


def test_a_good_model_narrows_the_interval() -> None:
    widths = {}
    for estimator in ESTIMATORS:
        found = estimate_value(logged(np.random.default_rng(0), 2000, error=0.0), estimator)
        assert found.low is not None
        assert found.high is not None
        widths[estimator] = found.high - found.low
    assert widths["doubly_robust"] < widths["snips"] < widths["ips"]


def test_the_behaviour_itself_is_worth_all_its_decisions() -> None:
    data = OffPolicyData([0.0, 1.0] * 100, [-1.0] * 200, [-1.0] * 200)
    assert effective_sample_size(data) == pytest.approx(200)
    assert estimate_value(data, "ips").value == estimate_value(data, "snips").value == 0.5


def test_an_estimate_that_a_few_decisions_would_decide_is_refused() -> None:
    far = OffPolicyData([1.0] * 100, [-5.0] * 100, [-0.1] + [-9.0] * 99)
    assert effective_sample_size(far) < 2
    with pytest.raises(DataError, match="worth 1 of 100 independent units"):
        estimate_value(far)
    never = OffPolicyData([1.0] * 100, [-1.0] * 100, [-math.inf] * 100)
    assert effective_sample_size(never) == 0.0
    with pytest.raises(DataError, match="expected at least 50"):
        estimate_value(never)


def test_decisions_of_one_conversation_are_no_independent_units() -> None:
    data = OffPolicyData([1.0] * 100, [-1.0] * 100, [-1.0] * 100, groups=[i // 25 for i in range(100)])
    assert effective_sample_size(data) == pytest.approx(4)
    with pytest.raises(DataError, match="of 4 independent units"):
        estimate_value(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": [1.0]}, "behaviour_logprobs has 2 values and rewards 1"),
        ({"rewards": [1.0, math.nan]}, "rewards of decision 1 is not finite"),
        ({"behaviour_logprobs": [-math.inf, 0.0]}, "behaviour_logprobs of decision 0"),
        ({"groups": ["a"]}, "groups has 1 values"),
    ],
)
def test_wrong_data_is_refused(change: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {
        "rewards": [1.0, 0.0],
        "behaviour_logprobs": [-1.0, -1.0],
        "target_logprobs": [-1.0, -1.0],
    }
    with pytest.raises(DataError, match=message):
        OffPolicyData(**{**values, **change})


def test_doubly_robust_needs_a_model() -> None:
    with pytest.raises(DataError, match="needs a model"):
        estimate_value(OffPolicyData([1.0] * 60, [-1.0] * 60, [-1.0] * 60), "doubly_robust")
