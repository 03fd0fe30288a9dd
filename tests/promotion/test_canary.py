"""A canary: stable sides, pairs that cancel what affects both, few false rollbacks, few users until harm is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telic.errors import DataError
from telic.promotion.canary import Canary, compare_arms, evidence_against, is_in_canary, paired_differences
from telic.statistics import Floats

ALPHA = 0.05


def observed(rng: np.random.Generator, n: int, harm: float, share: float = 0.1) -> list[tuple[bool, float]]:
    """Users in the order in which they come; everybody is less satisfied at some times of the day."""
    candidate_N = rng.random(n) < share
    means_N: Floats = 0.6 + 0.15 * np.sin(np.arange(n) / 50) - harm * candidate_N
    values_N = rng.beta(3 * means_N, 3 * (1 - means_N))
    return [(bool(side), float(value)) for side, value in zip(candidate_N, values_N, strict=True)]


def test_a_user_keeps_the_side_and_the_share_holds() -> None:
    sides = [is_in_canary(f"holder/user-{number}", "salt", 0.1) for number in range(5000)]
    assert sides == [is_in_canary(f"holder/user-{number}", "salt", 0.1) for number in range(5000)]
    assert sum(sides) == pytest.approx(500, abs=90)
    other = [is_in_canary(f"holder/user-{number}", "another salt", 0.1) for number in range(5000)]
    assert sum(one and two for one, two in zip(sides, other, strict=True)) < 100, "another salt draws other users"
    grown = [is_in_canary(f"holder/user-{number}", "salt", 0.2) for number in range(5000)]
    assert all(large for large, small in zip(grown, sides, strict=True) if small), "a larger share keeps its users"


def test_a_candidate_that_is_as_good_is_hardly_ever_rolled_back() -> None:
    rng = np.random.default_rng(0)
    found = [evidence_against(paired_differences(observed(rng, 2000, 0.0)), 0.0, above=True) for _ in range(400)]
    alarms = sum(evidence >= 1 / ALPHA for evidence in found)
    assert alarms <= 30  # at most 5 %; more than 30 of 400 have a probability below 2 %


def test_harm_is_noticed() -> None:
    rng = np.random.default_rng(1)
    found = [evidence_against(paired_differences(observed(rng, 2000, 0.2)), 0.0, above=True) for _ in range(100)]
    assert sum(evidence >= 1 / ALPHA for evidence in found) >= 90
    one = compare_arms(observed(rng, 3000, 0.2), alpha=ALPHA)
    assert one.verdict == "worse"
    assert one.difference.high is not None
    assert one.difference.high < 0


def test_a_good_candidate_is_shown_to_be_no_worse() -> None:
    rng = np.random.default_rng(2)
    found = [compare_arms(observed(rng, 2000, -0.05, 0.5), no_worse=0.05, alpha=ALPHA) for _ in range(10)]
    assert sum(one.verdict == "no worse" for one in found) >= 9


def test_without_users_nothing_is_decided() -> None:
    found = compare_arms([])
    assert (found.verdict, found.candidate.value, found.difference.n) == ("undecided", None, 0)
    assert compare_arms([(False, 0.5)] * 100).verdict == "undecided"


def test_a_canary_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Canary.start(tmp_path, "travel", "v1", "base", 0.1)
    assert Canary.start(tmp_path, "travel", "v1", "base", 0.1) == first
    assert Canary.start(tmp_path, "travel", "v1", "base", 0.2).salt != first.salt, "users would change sides"
    stopped = first.with_status("rolled back", "worse")
    stopped.write(tmp_path)
    assert not Canary.start(tmp_path, "travel", "v1", "base", 0.1).gives_candidate, "it does not begin again"
    assert Canary.start(tmp_path, "travel", "v2", "base", 0.1).gives_candidate
    (tmp_path / "canary.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        Canary.read(tmp_path)
