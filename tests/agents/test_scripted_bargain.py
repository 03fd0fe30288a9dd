"""The scripts of the game `negotiation`: how they rank, and what bargaining is worth to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.scripted.bargain import NEGOTIATION_SCRIPTS
from telic.games.base import Outcome
from telic.games.negotiation import Negotiation
from telic.statistics import bootstrap_mean, mean, paired_difference
from tests.agents.scripted_play import play_scripts

VARIANTS = ("buyer-seller", "resources", "ultimatum")


def outcomes(game: Negotiation, agent: str, partner: str, seeds: Iterable[int]) -> list[Outcome]:
    found = []
    for seed in seeds:
        scripts = {
            "agent": NEGOTIATION_SCRIPTS[agent](2 * seed),
            "partner": NEGOTIATION_SCRIPTS[partner](2 * seed + 1),
        }
        found.append(play_scripts(game, seed, scripts))
    return found


def by_values(found: list[Outcome], measure: Callable[[Outcome], float | None]) -> list[float | None]:
    """A measure for each draw of private values, which the seeds 2i and 2i + 1 share."""
    values = [measure(outcome) for outcome in found]
    return [mean(values[start : start + 2]) for start in range(0, len(values), 2)]


@given(st.sampled_from(VARIANTS), st.booleans(), st.integers(0, 10_000))
def test_random_bargainers_always_finish(variant: Any, one_shot: bool, seed: int) -> None:
    [outcome] = outcomes(Negotiation(variant=variant, one_shot=one_shot), "random", "random", [seed])
    assert outcome.valid


@pytest.mark.parametrize("variant", ["buyer-seller", "resources"])
def test_oracle_beats_concession_beats_random(variant: Any) -> None:
    game = Negotiation(variant=variant)
    low, middle, top = (
        bootstrap_mean(by_values(outcomes(game, name, "concession", range(200)), lambda o: o.normalised))
        for name in ("random", "concession", "oracle")
    )
    assert low.high is not None
    assert middle.low is not None
    assert middle.high is not None
    assert top.low is not None
    assert low.high < middle.low
    assert middle.high < top.low


def test_concession_bargainers_never_lose_and_always_find_the_zone_of_a_sale() -> None:
    for outcome in outcomes(Negotiation(), "concession", "concession", range(200)):
        assert min(outcome.per_role.values()) >= 0
        assert (outcome.details["deal"] is not None) == outcome.details["possible"]


@pytest.mark.parametrize("variant", ["buyer-seller", "resources"])
def test_bargaining_beats_take_it_or_leave_it(variant: Any) -> None:
    game = Negotiation(variant=variant)
    bargained = outcomes(game, "concession", "concession", range(200))
    single = outcomes(replace(game, one_shot=True), "concession", "concession", range(200))
    measures: list[Callable[[Outcome], float | None]] = [
        lambda outcome: outcome.score,
        lambda outcome: outcome.normalised,
        lambda outcome: outcome.details["efficiency"],
    ]
    for measure in measures:
        comparison = paired_difference(by_values(bargained, measure), by_values(single, measure))
        assert comparison.difference.low is not None
        assert comparison.difference.low > 0
        assert comparison.p is not None
        assert comparison.p < 0.01
