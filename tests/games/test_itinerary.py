"""The itinerary game: its city, its search language, its proposals, and whole episodes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.scripted.decisions import DECISION_SCRIPTS
from telic.games.base import IllegalActError
from telic.games.itinerary import ItineraryGame, read_itinerary
from telic.games.itinerary_search import Filter, Query, QueryError, answer_query, parse_query
from telic.games.itinerary_world import (
    BudgetWish,
    DistanceWish,
    FeatureWish,
    KindWish,
    PlaceWish,
    Site,
    all_triples,
    draw_sites,
    draw_wishes,
    miles,
    score_triples,
)
from tests.agents.scripted_play import play_scripts

SITES = (
    Site("Old Mill", "museum", 20, (0.0, 0.0), {"good for kids": True, "rating": 4.5}),
    Site("Fig House", "restaurant", 60, (0.01, 0.0), {"good for kids": False, "cuisine": "thai", "rating": 2}),
    Site("Low Bar", "bar", 30, (0.0, 0.02), {"live music": True, "alcohol type": "wine", "rating": 3}),
    Site("Hill Top", "park", 0, (0.03, 0.0), {"viewpoint": True, "open late": False}),
)


def started(seed: int = 0) -> ItineraryGame:
    game = ItineraryGame()
    game.reset(seed)
    return game


def test_the_city() -> None:
    sites = draw_sites(random.Random(0))
    kinds = Counter(site.kind for site in sites)
    assert kinds == {"restaurant": 10, "bar": 6, "park": 6, "cafe": 5, "shop": 5, "landmark": 4, "museum": 3}
    assert len({site.place for site in sites}) == len({site.name for site in sites}) == 39
    assert all(len(site.features) == 5 for site in sites)
    assert all(50 <= site.price <= 490 and site.price % 10 == 0 for site in sites if site.kind == "shop")
    assert len(all_triples(39)) == 54_834


def test_wishes_are_as_the_rules_say() -> None:
    rng = random.Random(1)
    sites = draw_sites(rng)
    counts: Counter[str] = Counter()
    for _ in range(200):
        wishes = draw_wishes(rng, sites)
        counts.update(type(wish).__name__ for wish in wishes)
        assert len(wishes) <= 11
        assert isinstance(wishes[-1], DistanceWish)
        assert all(1 <= wish.weight <= 10 for wish in wishes)
        assert all(30 <= wish.limit <= 90 for wish in wishes if isinstance(wish, BudgetWish))
    assert counts["DistanceWish"] == 200
    # Of eleven and more only ten are kept, so not every traveller has a budget.
    assert 150 < counts["BudgetWish"] <= 200
    assert 5.5 < counts["FeatureWish"] / 200 < 8.5


@pytest.mark.parametrize(
    ("wish", "order", "score"),
    [
        (FeatureWish("", 3, "good for kids", (True,), (False,)), (0, 2, 3), 3),
        (FeatureWish("", 3, "good for kids", (True,), (False,)), (0, 1, 3), 0),
        (FeatureWish("", 3, "good for kids", (True,), ()), (0, 1, 3), 3),
        (FeatureWish("", 2, "rating", (4, 4.5, 5), (1, 1.5, 2, 2.5)), (1, 2, 3), -2),
        (PlaceWish("", 4, ("Old Mill", "Low Bar"), True), (0, 2, 3), 4),
        (PlaceWish("", 4, ("Old Mill",), True), (1, 2, 3), -4),
        (PlaceWish("", 4, ("Old Mill",), False), (1, 2, 3), 0),
        (KindWish("", 5, "bar"), (2, 0, 1), 5),
        (KindWish("", 5, "bar"), (0, 1, 3), -5),
        (BudgetWish("", 6, 50), (0, 2, 3), 0),
        (BudgetWish("", 6, 50), (0, 1, 3), -6),
        (DistanceWish("", 3), (0, 1, 2), -2 - 4),  # 0.7 and 1.5 miles, decimals cut off
        (DistanceWish("", 3), (1, 0, 2), -2 - 4),
    ],
)
def test_scores(wish: FeatureWish | PlaceWish | KindWish | BudgetWish | DistanceWish, order: tuple[int, int, int], score: int) -> None:  # fmt: skip # noqa: E501
    assert score_triples(SITES, [wish])[order] == score


def test_the_cube_adds_up_all_wishes() -> None:
    rng = random.Random(3)
    sites = draw_sites(rng)
    wishes = draw_wishes(rng, sites)
    cube = score_triples(sites, wishes)
    assert (cube == sum(score_triples(sites, [wish]) for wish in wishes)).all()
    legs = [wish.weight * miles(sites[a].place, sites[b].place) for a, b in ((3, 8), (8, 20)) for wish in wishes[-1:]]
    assert score_triples(sites, wishes[-1:])[3, 8, 20] == sum(int(-leg) for leg in legs)


def test_queries_are_read() -> None:
    query = parse_query(
        "Search(fields=[name, good_for_kids], filters=[type == restaurant, Price <= $50, has parking == yes], "
        "text_query='live music', sort_by=[price, distance_to(Old Mill)], limit=3)"
    )
    filters = (Filter("type", "==", "restaurant"), Filter("price", "<=", 50.0), Filter("has parking", "==", True))
    keys = (("price", ""), ("distance_to", "Old Mill"))
    assert query == Query(("name", "good for kids"), filters, "live music", keys, 3)
    assert parse_query(" search ( ) ") == Query()
    assert parse_query('Search(text_query="a, (b)]", fields=price)') == Query(fields=("price",), text_query="a, (b)]")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("museums", "a query is written Search"),
        ("Search(filters=[price < 5])", "expected '==', '>=' or '<=' after 'price', found '<'"),
        ("Search(filters=[price == cheap])", "'price' is a number, not 'cheap'"),
        ("Search(filters=[cuisine >= thai])", "only '==' compares it"),
        ("Search(filters=[has wifi == maybe])", "is true or false, not 'maybe'"),
        ("Search(fields=[parkng])", "there is no field 'parkng'"),
        ("Search(fields=[name", "found the end"),
        ("Search(limit=0)", "limit = '0' is not a whole number"),
        ("Search(limit=2, limit=3)", "'limit' is given twice"),
        ("Search(size=2)", "there is no argument 'size'"),
        ("Search() please", "expected the end of the query, found 'please'"),
        ('Search(text_query="music)', "a quotation mark is never closed"),
        ("Search(sort_by=[distance_to Old Mill])", "no field 'distance_to Old Mill'"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(query: str, error: str) -> None:
    with pytest.raises(QueryError, match=error.replace("(", r"\(")):
        parse_query(query)
    assert answer_query(query, SITES).startswith("The query failed: ")


def names(text: str) -> list[str]:
    return [line[2:].split(";")[0] for line in text.splitlines()[1:]]


def test_search_filters_and_sorts() -> None:
    assert names(answer_query("Search(filters=[price >= 20, price <= 60], sort_by=[price])", SITES)) == [
        "Old Mill",
        "Low Bar",
        "Fig House",
    ]
    assert names(answer_query("Search(sort_by=[distance_to(old mill)], limit=2)", SITES)) == ["Old Mill", "Fig House"]
    assert names(answer_query("Search(sort_by=[rating])", SITES))[-1] == "Hill Top", "what is not known comes last"
    assert names(answer_query("Search(filters=[good for kids == false])", SITES)) == ["Fig House"]
    assert names(answer_query("Search(filters=[cuisine == Thai])", SITES)) == ["Fig House"]
    assert names(answer_query("Search(text_query='wine music')", SITES)) == ["Low Bar"]
    assert answer_query("Search(filters=[type == shop])", SITES) == "No site was found."
    assert answer_query("Search(fields=[viewpoint], sort_by=[distance_to(Hill Top)], limit=1)", SITES) == (
        "1 of 4 sites found:\n- Hill Top; viewpoint: true; miles to Hill Top: 0.0"
    )
    assert "did you mean 'old mill'" in answer_query("Search(sort_by=[distance_to(Old Mil)])", SITES)


@given(st.text(alphabet="Search(),[]=<>\"' \tlimt_qury123", max_size=60))
def test_any_query_is_answered(query: str) -> None:
    assert answer_query(query, SITES)
    assert answer_query(f"Search({query})", SITES)


@pytest.mark.parametrize("form", ["{}; {}; {}", "1. {}\n2. {}\n3. {}", '["{}", "{}", "{}"]', "First {}, then {}, {}!"])
def test_proposals_read_in_any_form(form: str) -> None:
    known = [site.name for site in SITES]
    assert read_itinerary(form.format("Hill Top", "OLD  MILL", "Fig House"), known) == (3, 0, 1)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "none that there is"),
        ("Old Mill, Low Bar", "exactly 3 places, by their full names; this one names 'Old Mill', 'Low Bar'"),
        ("Old Mill, Low Bar, Hill Top, Fig House", "exactly 3"),
        ("Old Mill, Low Bar, Old Mill", "stands twice"),
        ("Old Mills, Low Bar, Hill Top", "names 'Low Bar', 'Hill Top'"),
    ],
)
def test_what_is_wrong_with_a_proposal_is_said(content: str, error: str) -> None:
    with pytest.raises(IllegalActError, match=error):
        read_itinerary(content, [site.name for site in SITES])


def test_planning_to_the_end() -> None:
    game = started()
    assert game.turn == "user"
    assert game.observe("user").legal == ("message",)
    assert not game.step("user", "[propose] Slow Drip").accepted
    assert game.step("user", "Somewhere nice.").accepted
    assert game.step("agent", "[think] They like nice places.").accepted
    assert game.step("agent", "[tool] Search(filters=[type == park], limit=2)").accepted
    assert game.turn == "agent"
    seen = game.observe("agent").events
    assert seen[-1].speaker == "game"
    assert seen[-1].text.startswith("2 of 6 sites found:")
    assert len(game.observe("user").events) == 1, "the user hears neither thoughts nor searches"
    assert game.step("agent", "[propose] Slow Drip; Otter Pond; Whale Arch").accepted
    shown = game.observe("user").events[-1].text
    assert "(cafe, $" in shown
    assert "miles" in shown
    assert game.observe("user").legal == ("accept", "reject")
    assert game.step("user", "[reject]").accepted
    assert game.turn == "user"
    assert game.step("user", "No park, please.").accepted
    content = game.fill("agent", "propose", game.parts(game.optimum()))
    assert game.step("agent", f"[propose] {content}").accepted
    assert game.step("user", "[accept]").reward == {"agent": 1.0, "user": 1.0}
    assert game.outcome().score == game.best


def test_a_partial_proposal_is_refused_to_the_agent_only() -> None:
    game = started()
    game.step("user", "Hello")
    refused = game.step("agent", "[propose] Slow Drip; Otter Pond")
    assert "exactly 3 places" in str(refused.error)
    assert (game.turn, game.observe("user").error) == ("agent", None)


def test_whose_fault_a_broken_game_is() -> None:
    game = started()
    for _ in range(3):
        game.step("user", "[accept]")
    assert (game.outcome().valid, game.outcome().fault) == (False, "partner")


def test_the_oracle_reaches_the_best() -> None:
    for seed in range(10):
        assert play_scripts(ItineraryGame(), seed, DECISION_SCRIPTS["oracle"](0)).normalised == 1.0


def test_slots_fill_a_proposal() -> None:
    game = started()
    first = game.options("agent", "propose")
    assert len(first) == 39
    rest = game.options("agent", "propose", (first[0], first[5]))
    assert len(rest) == 37
    assert game.options("agent", "propose", (first[0], first[5], rest[0])) == ()
    assert game.options("user", "propose") == ()
    content = game.fill("agent", "propose", (first[0], first[5], rest[0]))
    assert game._read(content) == (0, 5, 1)


def test_neither_side_sees_what_the_other_knows() -> None:
    game, changed = started(4), started(4)
    changed.sites = tuple(replace(site, price=1, features={}) for site in game.sites)
    assert game.observe("user") == changed.observe("user")
    changed.wishes = (DistanceWish("none", 1),)
    assert game.observe("agent") == changed.observe("agent")
    told = game.instructions("agent")
    assert not any(wish.text in told for wish in game.wishes)
    assert game.private("user") != changed.private("user")
    assert "weight" not in game.instructions("user")


def test_random_play_earns_what_the_reference_earns() -> None:
    game = ItineraryGame()
    means, played = [], []
    for seed in range(1000):
        game.reset(seed)
        scores = game._cube.ravel()[all_triples(39)]
        means.append(float(np.mean((scores - game.worst) / (game.best - game.worst))))
        if seed < 200:
            outcome = play_scripts(game, seed, DECISION_SCRIPTS["random"](seed))
            assert outcome.normalised is not None
            played.append(outcome.normalised)
    # 113 recorded games: their own standard error is 0.004.
    error = np.hypot(np.std(means) / np.sqrt(len(means)), 0.004)
    assert np.mean(means) == pytest.approx(0.517, abs=2 * error)
    assert np.mean(played) == pytest.approx(np.mean(means[:200]), abs=2.5 * np.std(played) / np.sqrt(200))
