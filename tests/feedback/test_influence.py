"""Users with much influence: found by share and by disagreement, and bounded by a cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.errors import ConfigError
from telic.feedback.analysis import Analysis, analyse_conclusions
from telic.feedback.influence import capped_weights
from telic.feedback.summaries import Conclusion


def rows(**users: tuple[int, float]) -> list[Conclusion]:
    """Conversations by user: how many, and how satisfied (a little more or less each time)."""
    return [
        Conclusion(user, None, "v1", satisfaction + 0.02 * (number % 3 - 1), 1, {}, ())
        for user, (count, satisfaction) in users.items()
        for number in range(count)
    ]


def others() -> dict[str, tuple[int, float]]:
    return {f"user{number}": (3, 0.6 + 0.03 * (number % 5)) for number in range(20)}


def analysed(cap: float | None = None, **users: tuple[int, float]) -> Analysis:
    return analyse_conclusions(rows(**others(), **users), 200, influence_cap=cap)


def test_a_troll_is_found_and_bounded() -> None:
    found = analysed(troll=(60, 0.05))
    [troll] = found.outlying
    assert (troll.user, troll.why, troll.conversations) == ("troll", "share and disagreement", 60)
    assert troll.share == pytest.approx(0.5)
    assert troll.effect == pytest.approx(0.305, abs=0.01)
    assert found.satisfaction.value == pytest.approx(0.355, abs=0.01)
    capped = analysed(0.05, troll=(60, 0.05))
    assert capped.satisfaction.value == pytest.approx(0.66 * 0.95 + 0.05 * 0.05, abs=0.01)
    assert capped.by_version[0].value == capped.satisfaction.value
    assert capped.influence_cap == 0.05


def test_a_busy_user_who_agrees_has_a_large_share_only() -> None:
    [busy] = analysed(busy=(60, 0.66)).outlying
    assert busy.why == "share"
    assert abs(busy.effect) < 0.01


def test_a_single_bad_conversation_is_no_disagreement() -> None:
    assert analysed(unlucky=(1, 0.05)).outlying == []
    assert analyse_conclusions(rows(ann=(9, 0.9), bob=(1, 0.1)), 200).outlying == [], "too few users to compare with"


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.floats(0.01, 1))
def test_no_user_has_more_than_the_cap(counts: list[int], cap: float) -> None:
    groups = [str(user) for user, count in enumerate(counts) for _ in range(count)]
    weights = capped_weights(groups, cap)
    own = [count * weights[str(user)] for user, count in enumerate(counts)]
    assert max(own) <= max(cap * sum(own), min(own)) * (1 + 1e-9)
    assert all(weight <= 1 for weight in weights.values())
    if max(counts) <= cap * sum(counts):
        assert set(weights.values()) == {1.0}


def test_a_cap_that_is_no_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"influence_cap is 5; expected a share, such as 0.05"):
        analysed(5)
