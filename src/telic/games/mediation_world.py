"""The world of the mediation game: calendars, flights and costs.

Times are minutes since midnight of the first day. Costs follow Lin et al. (arXiv 2305.20076), with the same rounding.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Flight",
    "Meeting",
    "Traveller",
    "draw_traveller",
    "hours_apart",
    "overlapping",
    "show_time",
    "worth_alone",
    "worth_together",
]

Array = NDArray[Any]

DAY, FIRST, LAST = 1440, 9 * 60, 2 * 1440 + 19 * 60
"""The window: from 9:00 of the first day to 19:00 of the third."""
DAYS = ("Wed 05-31", "Thu 06-01", "Fri 06-02", "Sat 06-03")
CARRIERS = ("Borealis", "Cirrus Air", "Kestrel", "Meridian", "Northwind", "Skylark")
FLIGHTS = 30
LOWEST_PRICE = 50


@dataclass(frozen=True, slots=True)
class Meeting:
    """An entry of a calendar."""

    start: int
    end: int
    importance: int
    """From 1 to 10; only the traveller knows it."""
    shared: bool
    """Whether the agent sees the meeting."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A flight that the agent can book."""

    carrier: str
    start: int
    end: int
    price: int


@dataclass(frozen=True, slots=True)
class Traveller:
    """One of the two users."""

    calendar: tuple[Meeting, ...]
    flights: tuple[Flight, ...]
    """In order of departure; only the agent knows them."""
    mean_price: int
    price_weight: int


def draw_traveller(rng: random.Random) -> Traveller:
    """Draw a calendar and 30 flights. Flights that overlap no meeting are dropped, as they would be too easy."""
    while True:
        calendar = _draw_calendar(rng)
        mean, hours = rng.randint(50, 999), rng.randint(1, 10)
        flights = sorted((_draw_flight(rng, mean, hours) for _ in range(FLIGHTS)), key=lambda flight: flight.start)
        kept = tuple(flight for flight in flights if overlapping(flight, calendar))
        if len(kept) > 1:
            return Traveller(calendar, kept, mean, rng.randint(1, 20))


def _draw_calendar(rng: random.Random) -> tuple[Meeting, ...]:
    drawn = []
    for day in range(3):
        at, until = day * DAY + FIRST, min(day * DAY + 21 * 60, LAST)
        while at < until:
            if rng.random() < 0.35:
                end = at + rng.choice((30, 60, 120, 240))
                drawn.append((at, end, rng.randint(1, 10)))
                at = end
            else:
                at += 30
    shared = set(rng.sample(range(len(drawn)), int(0.75 * len(drawn))))
    return tuple(Meeting(*entry, number in shared) for number, entry in enumerate(drawn))


def _draw_flight(rng: random.Random, mean: int, hours: int) -> Flight:
    start = rng.randrange(FIRST, LAST)
    price = int(max(LOWEST_PRICE, rng.gauss(mean, mean)))
    return Flight(rng.choice(CARRIERS), start, start + 60 * hours + int(rng.expovariate(1)), price)


def overlapping(flight: Flight, calendar: Sequence[Meeting]) -> list[Meeting]:
    """Return the meetings that overlap a flight."""
    return [meeting for meeting in calendar if flight.start < meeting.end and flight.end > meeting.start]


def worth_alone(traveller: Traveller) -> Array:
    """Return the worth of each flight by itself: the missed meetings, and the price against the mean price."""
    flights = np.array([(flight.start, flight.end, flight.price) for flight in traveller.flights])
    meetings = np.array([(m.start, m.end, m.importance) for m in traveller.calendar]).reshape(-1, 3)
    missed = (flights[:, :1] < meetings[:, 1]) & (flights[:, 1:2] > meetings[:, 0])
    price = -traveller.price_weight * (flights[:, 2] - traveller.mean_price) / traveller.mean_price
    worth: Array = np.trunc(price).astype(np.int64) - missed @ meetings[:, 2]
    return worth


def hours_apart(first: Sequence[Flight], second: Sequence[Flight]) -> Array:
    """Return the whole hours between the arrivals of each pair of flights."""
    ends = [np.array([flight.end for flight in flights]) for flights in (first, second)]
    hours: Array = np.abs(ends[0][:, None] - ends[1]) // 60
    return hours


def worth_together(hours: Array, weight: int) -> Array:
    """Return the worth of arriving that many hours apart, for each user."""
    worth: Array = np.trunc(-weight * hours / 3).astype(np.int64)
    return worth


def show_time(minute: int) -> str:
    """Return a time as text."""
    return f"{DAYS[minute // DAY]} {minute % DAY // 60:02d}:{minute % 60:02d}"
