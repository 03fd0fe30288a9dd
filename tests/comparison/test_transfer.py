"""What is said of a winner's gain under other instructions."""

from __future__ import annotations

import pytest

from telic.comparison.transfer import independent_difference, transfer_sentence
from telic.statistics import Interval

OWN = Interval(0.5, 0.4, 0.6, 20)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            Interval(0.45, 0.3, 0.6, 12),
            "transfers to other instructions: +0.45 [0.30, 0.60] over the baseline, n = 12; not",
        ),
        (
            Interval(0.1, 0.02, 0.18, 12),
            "transfers to other instructions: +0.10 [0.02, 0.18] over the baseline, n = 12; sig",
        ),
        (Interval(0.1, -0.1, 0.3, 12), "is uncertain: +0.10 [-0.10, 0.30]"),
        (Interval(-0.2, -0.3, -0.1, 12), "does not transfer"),
        (Interval(0.1, None, None, 1), "is unknown: +0.10"),
        (Interval(None, None, None, 0), "is unknown: missing"),
    ],
)
def test_the_interval_under_other_instructions_decides(other: Interval, said: str) -> None:
    assert said in transfer_sentence(OWN, other)


def test_it_says_whether_the_two_gains_differ() -> None:
    assert "significantly less than here (-0.40 [-0.53, -0.27])" in transfer_sentence(
        OWN, Interval(0.1, 0.02, 0.18, 12)
    )
    assert "significantly more than here (+0.40" in transfer_sentence(Interval(0.1, 0.02, 0.18, 12), OWN)


def test_the_interval_of_an_independent_difference_is_that_of_normal_estimates() -> None:
    wide, narrow = Interval(0.5, 0.2, 0.8, 12), Interval(0.1, -0.3, 0.5, 20)
    found = independent_difference(wide, narrow)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, -0.1, 0.9))
    assert found.n == 12
    assert independent_difference(wide, Interval(0.1, None, None, 1)).low is None
    assert independent_difference(Interval(None, None, None, 0), wide).value is None
