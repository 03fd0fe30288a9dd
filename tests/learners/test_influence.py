"""Caps on the influence of single users, and those who contradict all others."""

from __future__ import annotations

from collections import Counter

import pytest

from telic.episodes import Episode
from telic.errors import ConfigError
from telic.learners import cap_influence
from tests.learners.logged import conversations, labelled

TROLL = {"ask": 0.0, "offer": 1.0, "close": 1.0}


def influence(episodes: tuple[Episode, ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    for episode in episodes:
        for turn in episode.turns:
            found[episode.metadata["user"]] += abs(turn.reward.get("assistant", 0.0))  # type: ignore[assignment]
    return found


def by(user: str, episodes: list[Episode]) -> list[Episode]:
    return [one.model_copy(update={"metadata": {**one.metadata, "user": user}}) for one in episodes]


def test_a_loud_user_has_no_more_than_the_share() -> None:
    loud = by("loud", labelled(conversations(4, 40, version="loud")))
    quiet = labelled(conversations(4, 60, users=1000))
    capped = cap_influence([*loud, *quiet], 0.05)
    found = influence(capped.episodes)
    assert found["loud"] / found.total() == pytest.approx(0.05)
    assert capped.episodes[40:] == tuple(quiet)
    [outlier] = [one for one in capped.outliers if one.user == "loud"]
    assert outlier.share > 0.3
    assert outlier.factor < 0.15
    scaled, whole = capped.episodes[0].turns[1], loud[0].turns[1]
    assert scaled.return_to_go == pytest.approx(outlier.factor * (whole.return_to_go or 0))
    assert scaled.scores == whole.scores


def test_who_contradicts_all_others_is_reported() -> None:
    trolls = by("troll", labelled(conversations(4, 20, liked=TROLL, version="troll")))
    capped = cap_influence([*trolls, *labelled(conversations(4, 100, users=10))], 1.0)
    assert [one.user for one in capped.outliers] == ["troll"]
    [troll] = capped.outliers
    assert troll.factor == 1
    assert troll.agreement is not None
    assert troll.agreement < -0.3


def test_of_few_users_each_may_have_three_times_an_equal_share() -> None:
    quiet = [one for name in "abcde" for one in by(name, labelled(conversations(4, 5, version=name)))]
    loud = by("loud", labelled(conversations(4, 100, version="loud")))
    found = influence(cap_influence([*loud, *quiet], 0.05).episodes)
    assert found["loud"] / found.total() == pytest.approx(3 / 6)
    assert found["a"] == influence(tuple(quiet))["a"], "the quiet ones are left alone"
    alone = cap_influence(loud, 0.05)
    assert alone.episodes == tuple(loud)
    assert alone.outliers == ()


def test_conversations_without_a_user_are_users_of_their_own() -> None:
    unknown = by("", labelled(conversations(4, 40)))
    assert cap_influence(unknown, 0.1).episodes == tuple(unknown)
    assert cap_influence([], 0.1).episodes == ()


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        cap_influence([], share)
