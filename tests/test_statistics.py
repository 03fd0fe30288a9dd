import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from telic.statistics import (
    Interval,
    bootstrap_clustered,
    bootstrap_mean,
    bootstrap_ratio,
    correlation,
    holm,
    paired_difference,
    pass_hat_k,
)


def test_the_exponential_of_an_interval_leaves_missing_ends_missing() -> None:
    assert Interval(0.0, -1.0, None, 3, 2).exp() == Interval(1.0, math.exp(-1), None, 3, 2)


VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


def test_the_plain_percentile_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).normal(size=30)
    ours = bootstrap_mean(values.tolist(), resamples=999, seed=7, expand=False)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=999, method="percentile", rng=np.random.default_rng(7), vectorized=True
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_large_sample_is_resampled_block_by_block_without_changing_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).normal(size=50).tolist()
    whole = bootstrap_mean(values)
    monkeypatch.setattr("telic.statistics.MAX_ELEMENTS", 1000)
    assert bootstrap_mean(values) == whole


@pytest.mark.parametrize("n", [4, 8])
def test_intervals_of_few_values_cover_the_mean_as_often_as_they_say(n: int) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        interval = bootstrap_mean(rng.normal(size=n).tolist(), resamples=400)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0 <= interval.high
    # The plain percentile interval covers less. Four values bracket the mean in no more than 1 - 2 / 2^4 of cases.
    assert covered / 300 > (0.8 if n == 4 else 0.9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Interval(None, None, None, 0)),
        ([None, None], Interval(None, None, None, 0, missing=2)),
        ([0.3], Interval(0.3, None, None, 1)),
        ([0.3, None, 0.3], Interval(0.3, None, None, 2, missing=1)),
    ],
)
def test_no_interval_is_made_up_where_nothing_varies(values: list[float | None], expected: Interval) -> None:
    assert bootstrap_mean(values) == expected


def test_all_equal_bounded_values_leave_room_for_what_was_not_seen() -> None:
    few, many = (bootstrap_mean([1.0] * n, bounds=(0, 1)) for n in (5, 100))
    assert few.high == many.high == 1.0
    assert few.low == pytest.approx(0.025 ** (1 / 5))
    assert few.low is not None
    assert many.low is not None
    assert few.low < many.low < 1


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_an_interval_holds_its_value_within_the_data(values: list[float | None]) -> None:
    found = bootstrap_mean(values, resamples=200, bounds=(0, 1))
    present = [value for value in values if value is not None]
    assert (found.n, found.missing) == (len(present), len(values) - len(present))
    assert found == bootstrap_mean(values, resamples=200, bounds=(0, 1))
    if found.value is not None:
        assert math.isclose(found.value, float(np.mean(present)), abs_tol=1e-12)
    if found.low is not None and found.high is not None and found.value is not None:
        assert -1e-12 <= found.low <= found.high <= 1 + 1e-12


def test_answers_of_one_dialogue_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    dialogues = [[float(rng.random() < p)] * 10 for p in rng.random(12)]
    clustered = bootstrap_clustered(dialogues)
    pooled = bootstrap_mean([score for dialogue in dialogues for score in dialogue])
    assert clustered.value == pytest.approx(pooled.value)
    assert clustered.n == 12
    assert width(clustered) > 2 * width(pooled)


def test_a_cluster_counts_once_however_many_values_it_holds() -> None:
    found = bootstrap_clustered([[1.0] * 9, [0.0], [None]])
    assert (found.value, found.n, found.missing) == (0.5, 2, 1)


def test_a_ratio_resamples_both_of_its_sides_together() -> None:
    denominators = [1.0, 5.0, 2.0, 9.0]
    found = bootstrap_ratio([d / 2 for d in denominators], denominators)
    assert found == Interval(0.5, None, None, 4)
    assert bootstrap_ratio([1.0, None], [0.0, 1.0]) == Interval(None, None, None, 1, missing=1)
    varied = bootstrap_ratio([1.0, 2.0, 2.0, 4.0], denominators)
    assert varied.value == pytest.approx(9 / 17)
    assert width(varied) > 0


def test_the_exact_permutation_test_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.5, 1, size=(2, 9))
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert paired_difference(a.tolist(), b.tolist()).p == pytest.approx(theirs.pvalue)


def test_the_random_permutation_test_agrees_with_the_t_test_on_normal_data() -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(0.4, 1, size=40)
    found = paired_difference(a.tolist(), [0.0] * 40, resamples=5000)
    assert found.p == pytest.approx(stats.ttest_1samp(a, 0).pvalue, abs=0.01)
    assert found.p_bootstrap == pytest.approx(found.p, abs=0.02)


def test_pairs_without_a_difference_are_no_evidence() -> None:
    found = paired_difference([0.5] * 20, [0.5] * 20, bounds=(-1, 1))
    assert found.p == 1
    assert found.difference.low is not None
    assert found.difference.low < 0 < (found.difference.high or 0)


def test_a_half_missing_pair_is_left_out() -> None:
    found = paired_difference([1.0, None, 0.0], [0.0, 0.0, None])
    assert (found.difference.value, found.difference.n, found.difference.missing) == (1.0, 1, 2)
    assert (found.p, found.p_bootstrap) == (None, None)  # one pair tests nothing
    assert paired_difference([None], [1.0]).p is None


def test_correlation_is_pearsons() -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 25))
    found = correlation(x.tolist(), (x + y).tolist())
    assert found.value == pytest.approx(stats.pearsonr(x, x + y).statistic)
    assert (found.low or 0) < (found.value or 0) < (found.high or 0)


def test_correlation_within_groups_ignores_how_groups_differ() -> None:
    groups = [group for group in range(6) for _ in range(5)]
    steps = [float(step) for _ in range(6) for step in range(5)]
    x = [10 * group + step for group, step in zip(groups, steps, strict=True)]
    y = [10 * group - step for group, step in zip(groups, steps, strict=True)]
    across = correlation(x, y, groups)
    assert across.value is not None
    assert across.value > 0.9
    assert correlation(x, y, groups, within=groups).value == pytest.approx(-1)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0, 2.0], [1.0, 2.0]), ([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])])
def test_correlation_is_missing_where_it_means_nothing(x: list[float], y: list[float]) -> None:
    assert correlation(x, y).value is None


def test_holm_multiplies_and_keeps_the_order() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_pass_hat_k_is_the_share_of_draws_that_all_succeed() -> None:
    assert pass_hat_k(4, 2, 2) == pytest.approx(1 / 6)
    assert pass_hat_k(8, 8, 8) == 1
    assert pass_hat_k(8, 3, 4) == 0
    with pytest.raises(ValueError, match="k=5"):
        pass_hat_k(4, 2, 5)


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low
