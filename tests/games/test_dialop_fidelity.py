"""Recorded games of people (Lin et al., arXiv 2305.20076), scored again by our rules.

The records hold what people knew, their proposals with the scores that they were shown, and the best and worst scores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telic.games.assignment import total
from telic.games.assignment_draws import best_assignment
from telic.games.itinerary_world import (
    BudgetWish,
    DistanceWish,
    FeatureWish,
    KindWish,
    PlaceWish,
    Site,
    Wish,
    all_triples,
    miles,
    score_triples,
)
from telic.games.mediation_world import Flight, Meeting, Traveller, hours_apart, worth_alone, worth_together

Record = Mapping[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TELIC_TEST_DATA", ROOT.parent / "shared" / "data")) / "dialop"


def records(name: str) -> list[Record]:
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no recorded games at {path}; set TELIC_TEST_DATA to the folder that holds dialop/")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def proposals(record: Record) -> Iterator[Record]:
    yield from (entry for entry in record["action_log"] if "proposal" in entry or "proposals" in entry)


def check_mean(what: str, values: list[float], published: float) -> None:
    """The mean is the published one, of all games, as far as the games that we have can tell."""
    error = np.std(values) / np.sqrt(len(values))
    print(
        f"{what}: {len(values)} games, mean {np.mean(values):.4f} (standard error {error:.4f}), published {published}"
    )
    assert np.mean(values) == pytest.approx(published, abs=2 * error + 0.0005)


def check_people(name: str, ours: list[float], recorded: list[Record], published: float) -> None:
    """Each normalised score is the recorded one, and their mean the published one."""
    assert ours == pytest.approx([record["result"]["norm"] for record in recorded])
    check_mean(f"{name}, people", ours, published)


def test_assignment() -> None:
    games = records("optimization")
    normalised, chance = [], []
    for game in games:
        table = np.array(game["table"])
        seen = np.array(game["mask1"]) | np.array(game["mask2"])
        assert (table[seen == 0] == 50).all()
        best = total(table.T, tuple(best_assignment(table)))
        assert best == game["best_assignment_reward"] == game["result"]["best"]
        *_, final = proposals(game)
        score = sum(table[row, column] for row, column in final["proposal_ids"])
        assert score == game["proposal_reward"] == game["result"]["score"]
        normalised.append(score / best)
        chance.append(8 * table.mean() / best)  # a random permutation, in the mean
    check_people("assignment", normalised, games, 0.921)
    check_mean("assignment, chance", chance, 0.610)


def recorded_sites(record: Record) -> tuple[Site, ...]:
    return tuple(
        Site(site["name"], site["etype"], site["est_price"], tuple(site["loc"]), site["features"])
        for site in record["events"]
    )


def recorded_wishes(record: Record, penalise_kinds: bool = True) -> list[Wish]:
    """The wishes as they were scored: those for `has_parking` and `has_takeout` met no feature (`has parking`, ...)."""
    wishes: list[Wish] = []
    for text, _, kind, spec in record["preferences"]:
        weight = abs(spec["weight"])
        if kind == "FeaturePreference":
            bad, good = (tuple(values) for values in spec["value_sets"])
            wishes.append(FeatureWish(text, weight, spec["name"], good, bad))
        elif kind == "WantToGo":
            wishes.append(PlaceWish(text, weight, tuple(spec["event_set"]), spec["penalize"]))
        elif kind == "AtLeastOneEventType":
            wishes.append(KindWish(text, weight, spec["etype"], spec["penalize"] and penalise_kinds))
        elif kind == "PriceBudgetPreference":
            wishes.append(BudgetWish(text, weight, spec["budget"]))
        else:
            wishes.append(DistanceWish(text, weight))
    return wishes


def unpenalised(record: Record) -> bool:
    """Whether the game's log shows that a missing kind of site cost nothing, against what the wish itself says."""
    for number, (_, _, kind, spec) in enumerate(record["preferences"]):
        if kind != "AtLeastOneEventType" or not spec["penalize"]:
            continue
        for entry in proposals(record):
            kinds = {stop["etype"] for stop in entry["proposal"] if stop and stop["type"] == "event"}
            if spec["etype"] not in kinds and entry["scores"]["scores"][number] == 0:
                return True
    return False


def test_itinerary() -> None:
    games = records("itinerary")
    normalised, chance, odd = [], [], 0
    for game in games:
        sites = recorded_sites(game)
        positions = {site.name: number for number, site in enumerate(sites)}
        cube = score_triples(sites, recorded_wishes(game))
        # The best and worst scores count a missing kind, also where the log of the game does not.
        scores = cube.ravel()[all_triples(len(sites))]
        best, worst = int(scores.max()), int(scores.min())
        assert (best, worst) == (game["result"]["best"], game["result"]["worst"])
        if unpenalised(game):
            odd += 1
            cube = score_triples(sites, recorded_wishes(game, penalise_kinds=False))
        for entry in proposals(game):
            stops = [stop for stop in entry["proposal"] if stop and stop["type"] == "event"]
            legs = [stop for stop in entry["proposal"] if stop and stop["type"] == "travel"]
            if len(stops) == 3:
                ways = [miles(a["loc"], b["loc"]) for a, b in pairwise(stops)]
                assert ways == [float(leg["data"]) for leg in legs]
                first, second, third = (positions[stop["name"]] for stop in stops)
                score = int(cube[first, second, third])
                assert score == entry["scores"]["total"]
        assert score == game["result"]["score"], "the last proposal is the one that was accepted"
        normalised.append((score - worst) / (best - worst))
        chance.append(float(np.mean(scores - worst)) / (best - worst))
    assert odd <= 0.1 * len(games)
    check_people("itinerary", normalised, games, 0.886)
    check_mean("itinerary, chance", chance, 0.517)


def minutes(time: str) -> int:
    return int((datetime.fromisoformat(time) - datetime(2023, 5, 31)).total_seconds() // 60)


def recorded_traveller(player: Record) -> Traveller:
    calendar = [Meeting(minutes(m["start"]), minutes(m["end"]), m["importance"], True) for m in player["calendar"]]
    flights = [Flight(f["carrier"], minutes(f["start"]), minutes(f["end"]), f["price"]) for f in player["flights"]]
    return Traveller(tuple(calendar), tuple(flights), player["mean_price"], player["price_pref"])


def test_mediation() -> None:
    games = records("mediation")
    normalised, chance = [], []
    for game in games:
        first, second = (recorded_traveller(player) for player in game["player_data"])
        hours = hours_apart(first.flights, second.flights)
        meeting = worth_together(hours, game["player_data"][0]["arrival_time_pref"])
        own = worth_alone(first)[:, None] + meeting, worth_alone(second)[None] + meeting
        worth = own[0] + own[1]
        best, worst = int(worth.max()), int(worth.min())
        assert (best, worst) == (game["result"]["best"], game["result"]["worst"])
        for entry in proposals(game):
            pair = entry["proposals"][0]["flight_id"], entry["proposals"][1]["flight_id"]
            for worth_to, shown in zip(own, entry["proposals"], strict=True):
                assert worth_to[pair] == shown["cost"]["total"]
                assert meeting[pair] == shown["cost"]["arrival_time"]
                assert shown["deltas"] == [hours[pair]]
        assert worth[pair] == game["result"]["score"]
        normalised.append((int(worth[pair]) - worst) / (best - worst))
        chance.append(float(np.mean(worth - worst)) / (best - worst))
    check_people("mediation", normalised, games, 0.970)
    check_mean("mediation, chance", chance, 0.599)
