"""The world of the itinerary game: sites, wishes, and the scores of all itineraries.

An itinerary is three different sites in order. All 39 x 38 x 37 = 54,834 of them are scored at once on a cube that adds
up the wishes about single sites, the legs between sites, and the wishes about the whole itinerary.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BudgetWish",
    "DistanceWish",
    "FeatureWish",
    "KindWish",
    "PlaceWish",
    "Site",
    "Value",
    "Wish",
    "all_triples",
    "city",
    "draw_sites",
    "draw_wishes",
    "feature_values",
    "miles",
    "score_triples",
]

Value = bool | str | float
Array = NDArray[Any]

MILES_PER_DEGREE = 69
FEATURES_PER_SITE = 5
MOST_WISHES = 10
"""Maximum number of wishes, besides the wish for short ways."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place to visit."""

    name: str
    kind: str
    price: int
    place: tuple[float, float]
    """Longitude and latitude in degrees."""
    features: Mapping[str, Value]
    """The known features; the others are unknown."""


@dataclass(frozen=True, slots=True)
class FeatureWish:
    """A wish about a feature: + weight for each site with a good value, - weight for each with a bad one."""

    text: str
    weight: int
    feature: str
    good: tuple[Value, ...]
    bad: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class PlaceWish:
    """A wish for one of some sites: + weight for at least one; - weight for none, if penalised."""

    text: str
    weight: int
    names: tuple[str, ...]
    penalised: bool


@dataclass(frozen=True, slots=True)
class KindWish:
    """A wish for a kind of site: + weight for at least one; - weight for none, if penalised."""

    text: str
    weight: int
    kind: str
    penalised: bool = True


@dataclass(frozen=True, slots=True)
class BudgetWish:
    """A budget: - weight if the prices add up to more than the limit."""

    text: str
    weight: int
    limit: int


@dataclass(frozen=True, slots=True)
class DistanceWish:
    """A wish for short ways: - weight x miles for each leg, truncated to an integer."""

    text: str
    weight: int


Wish = FeatureWish | PlaceWish | KindWish | BudgetWish | DistanceWish


@cache
def city() -> Mapping[str, Any]:
    """Load the city: kinds of site with names and price ranges, features, texts of wishes, and places."""
    text = (files("telic.games") / "data" / "itinerary_city.json").read_text(encoding="utf-8")
    data: Mapping[str, Any] = json.loads(text)
    return data


def feature_values(feature: str) -> tuple[Value, ...]:
    """Return the possible values of a feature."""
    values: Sequence[Value] = city()["features"][feature].get("values", (True, False))
    return tuple(values)


@cache
def _features_of(kind: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    features: Mapping[str, Mapping[str, Any]] = city()["features"]
    return tuple((name, feature_values(name)) for name, spec in features.items() if kind in spec.get("kinds", (kind,)))


def draw_sites(rng: random.Random) -> tuple[Site, ...]:
    """Draw the 39 sites of an episode, in random order. Names and kinds are fixed; the rest is random."""
    data = city()
    places = iter(rng.sample(data["places"], sum(len(spec["names"]) for spec in data["kinds"].values())))
    sites = []
    for kind, spec in data["kinds"].items():
        low, high, step = spec["price"]
        for name in spec["names"]:
            drawn = rng.sample(_features_of(kind), FEATURES_PER_SITE)
            features = {feature: rng.choice(values) for feature, values in sorted(drawn)}
            x, y = next(places)
            sites.append(Site(name, kind, rng.randrange(low, high + 1, step), (x, y), features))
    rng.shuffle(sites)
    return tuple(sites)


def draw_wishes(rng: random.Random, sites: Sequence[Site]) -> tuple[Wish, ...]:
    """Draw at most ten wishes in random order, and the wish for short ways."""
    wishes: list[Wish] = [_feature_wish(rng, feature) for feature in _WISHED if rng.random() < 0.5]
    limit = rng.randrange(30, 91, 10)
    wishes.append(BudgetWish(f"spend no more than ${limit} in all", rng.randint(1, 10), limit))
    wishes.append(_place_wish(rng, sites))
    kind = rng.choice(list(city()["kinds"]))
    wishes.append(KindWish(f"at least one {kind} should be part of it", rng.randint(1, 10), kind, rng.random() < 0.7))
    rng.shuffle(wishes)
    return (*wishes[:MOST_WISHES], DistanceWish("keep the ways between the places short", rng.randint(1, 10)))


_SETS = ("cuisine", "alcohol type")
_WISHED = (*city()["wishes"], *_SETS, "ambience")


def _feature_wish(rng: random.Random, feature: str) -> FeatureWish:
    weight = rng.randint(1, 10)
    if feature in city()["wishes"]:
        drawn = rng.choice(city()["wishes"][feature])
        return FeatureWish(drawn["text"], weight, feature, tuple(drawn["good"]), tuple(drawn["bad"]))
    values = list(feature_values(feature))
    if feature == "ambience":
        value = rng.choice(values)
        if rng.random() < 0.5:
            return FeatureWish(f"{value} places are what we like", weight, feature, (value,), ())
        return FeatureWish(f"{value} places are not for us", weight, feature, (), (value,))
    rng.shuffle(values)
    good = rng.randint(1, len(values))
    bad = rng.randint(1, len(values) - good) if good < len(values) and rng.random() < 0.6 else 0
    likes, dislikes = values[:good], values[good : good + bad]
    text = f"{feature}: we like {', '.join(map(str, likes))}"
    text += f"; we do not like {', '.join(map(str, dislikes))}" if dislikes else ""
    return FeatureWish(text, weight, feature, tuple(likes), tuple(dislikes))


def _place_wish(rng: random.Random, sites: Sequence[Site]) -> PlaceWish:
    weight, penalised = rng.randint(1, 10), rng.random() < 0.5
    first = rng.choice(sites).name
    if rng.random() < 0.5:
        text = f"we certainly want to see {first}" if penalised else f"friends spoke well of {first}"
        return PlaceWish(text, weight, (first,), penalised)
    pair = tuple(site.name for site in rng.sample(list(sites), 2))
    if penalised:
        return PlaceWish(f"my sister insists on one of these: {', '.join(pair)}", weight, pair, True)
    return PlaceWish(f"we read nice things about {' and '.join(pair)}", weight, pair, False)


def miles(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the distance between two places in miles, to one decimal."""
    return round(float(np.hypot(a[0] - b[0], a[1] - b[1])) * MILES_PER_DEGREE, 1)


@cache
def all_triples(count: int) -> Array:
    """Return the flat indices of all ordered triples of different sites in a cube."""
    i, j, k = np.ogrid[:count, :count, :count]
    return np.flatnonzero((i != j) & (j != k) & (i != k))


def score_triples(sites: Sequence[Site], wishes: Sequence[Wish]) -> Array:
    """Return the scores of all ordered triples as a cube [first, second, third]; repeated sites are meaningless."""
    count = len(sites)
    alone, legs = np.zeros(count, np.int32), np.zeros((count, count), np.int32)
    place = np.array([site.place for site in sites])
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) * MILES_PER_DEGREE
    for wish in wishes:
        if isinstance(wish, FeatureWish):
            alone += [_feature_score(site, wish) for site in sites]
        elif isinstance(wish, DistanceWish):
            # The rules truncate with int(), towards zero.
            legs -= np.trunc(wish.weight * apart.round(1)).astype(np.int32)
    pairs = alone[:, None] + alone[None] + legs
    cube: Array = pairs[:, :, None] + (alone[None] + legs)[None]
    for wish in wishes:
        if isinstance(wish, PlaceWish | KindWish):
            hit = np.array([_is_meant(site, wish) for site in sites])
            missed = ~((hit[:, None] | hit)[:, :, None] | hit)
            cube += wish.weight - np.int32(wish.weight * (2 if wish.penalised else 1)) * missed
        elif isinstance(wish, BudgetWish):
            price = np.array([site.price for site in sites], np.int32)
            cube -= wish.weight * ((price[:, None] + price)[:, :, None] + price > wish.limit)
    return cube


def _feature_score(site: Site, wish: FeatureWish) -> int:
    value = site.features.get(wish.feature)
    if value is None:
        return 0
    return wish.weight * ((value in wish.good) - (value in wish.bad))


def _is_meant(site: Site, wish: PlaceWish | KindWish) -> bool:
    return site.name in wish.names if isinstance(wish, PlaceWish) else site.kind == wish.kind
