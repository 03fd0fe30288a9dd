"""The sequential test: few false alarms however often one looks, and the power to notice harm."""

from __future__ import annotations

import numpy as np
import pytest

from telic.promotion.sequential import capital_against, confidence_sequence
from telic.statistics import Floats

ALPHA, SIMULATIONS, LENGTH = 0.05, 1000, 1000


def drawn(kind: str, mean: float, rng: np.random.Generator, n: int) -> Floats:
    if kind == "binary":
        return (rng.random(n) < mean).astype(float)
    return rng.beta(4 * mean, 4 * (1 - mean), n)


@pytest.mark.parametrize("kind", ["binary", "beta"])
@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_the_false_alarm_rate_under_continuous_peeking_is_at_most_alpha(kind: str, mean: float) -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        capital_against(drawn(kind, mean, rng, LENGTH), mean, above=True).max() >= 1 / ALPHA for _ in range(SIMULATIONS)
    )
    # Of 1,000 simulations at a rate of 5 %, more than 67 alarms have a probability below 1 %.
    assert alarms <= 67


def test_a_test_that_ignores_the_peeking_would_alarm_far_more_often() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        x_N = drawn("binary", 0.5, rng, LENGTH)
        n = np.arange(1, LENGTH + 1)
        z_N = (np.cumsum(x_N) / n - 0.5) / (0.5 / np.sqrt(n))
        alarms += bool((z_N[20:] < -1.645).any())
    assert alarms / 200 > 0.3


def test_it_has_the_power_to_notice_harm() -> None:
    rng = np.random.default_rng(1)
    found = [capital_against(drawn("beta", 0.45, rng, LENGTH), 0.5, above=True) for _ in range(200)]
    noticed = [np.argmax(capital >= 1 / ALPHA) for capital in found if capital.max() >= 1 / ALPHA]
    assert len(noticed) >= 190
    assert np.median(noticed) < 400


def test_the_direction_of_the_hypothesis_matters() -> None:
    low = [0.2] * 200
    assert capital_against(low, 0.5, above=True)[-1] > 1000
    assert capital_against(low, 0.5, above=False)[-1] <= 1.5


def test_the_confidence_sequence_covers_the_mean_at_all_times() -> None:
    # The last interval is within all earlier ones, so it misses the mean if any of them did.
    rng = np.random.default_rng(2)
    found = [confidence_sequence(list(2 * drawn("beta", 0.6, rng, 200) - 1), bounds=(-1, 1)) for _ in range(200)]
    missed = sum(not ((one.low or -1) <= 0.2 <= (one.high or 1)) for one in found)
    assert missed <= 18
    assert np.mean([(one.high or 1) - (one.low or -1) for one in found]) < 0.3


def test_without_observations_everything_is_possible() -> None:
    found = confidence_sequence([], bounds=(-1, 1))
    assert (found.value, found.low, found.high, found.n) == (None, -1, 1, 0)
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        capital_against([0.5, 1.5], 0.5, above=True)
