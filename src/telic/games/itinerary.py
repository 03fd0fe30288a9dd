"""Itinerary planning: an agent with a search tool plans three stops for a user with wishes.

The planning game of Lin et al. (arXiv 2305.20076). The user has about ten weighted wishes and cannot see the sites. The
agent can search the sites and does not know the wishes. The user speaks first. Only the agent may think, search or
propose; the user accepts, or rejects and says why. A proposal is exactly three different sites in order. Its normalised
score is (score - worst) / (best - worst) over all 54,834 itineraries.

Random proposals reach a mean of 0.517, people 0.886 (113 games). In the recorded games the wishes for parking and for
takeout have no effect because their names are misspelt; here they count.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from telic.games.base import Act, Event, IllegalActError, References
from telic.games.decisions import Decision, DecisionGame, mentions
from telic.games.itinerary_search import LIMIT, answer_query, site_fields
from telic.games.itinerary_world import Site, all_triples, city, draw_sites, draw_wishes, miles, score_triples

__all__ = ["STOPS", "ItineraryGame", "read_itinerary"]

STOPS = 3


@dataclass
class ItineraryGame(DecisionGame):
    """The itinerary game; a decision is three sites in order."""

    name: ClassVar[str] = "itinerary"
    roles: ClassVar[tuple[str, ...]] = ("agent", "user")
    kinds: ClassVar[tuple[str, ...]] = (*DecisionGame.kinds, "think", "tool")

    max_turns: int = 60
    """Hard cap of accepted acts, thoughts and searches included."""

    def _draw(self, seed: int) -> None:
        rng = random.Random(seed)
        self.sites = draw_sites(rng)
        while self.best == self.worst:
            self.wishes = draw_wishes(rng, self.sites)
            self._cube = score_triples(self.sites, self.wishes)
            scores = self._cube.ravel()[all_triples(len(self.sites))]
            self.best, self.worst = int(scores.max()), int(scores.min())
        self.turn = "user"

    def optimum(self) -> Decision:
        """Return a best itinerary."""
        triples = all_triples(len(self.sites))
        first = triples[self._cube.ravel()[triples].argmax()]
        return tuple(int(index) for index in np.unravel_index(first, self._cube.shape))

    def value(self, decision: Decision) -> int:
        """Return the weights of the wishes that are met, minus those of the wishes that are not."""
        return int(self._cube[decision])

    def parts(self, decision: Decision) -> tuple[str, ...]:
        """Return the names of the sites, in order."""
        return tuple(self.sites[index].name for index in decision)

    def references(self) -> References:
        """Return the random and the perfect player, and the score of people in arXiv 2305.20076."""
        return References(lower="random", upper="oracle", human=0.886, human_episodes=113)

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the sites for the agent, and the weighted wishes for the user."""
        if role == "agent":
            return {"sites": [asdict(site) for site in self.sites]}
        return {"wishes": [{"wish": type(wish).__name__, **asdict(wish)} for wish in self.wishes]}

    def _instruct(self, role: str) -> str:
        if role == "user":
            return "\n".join(
                [
                    "You visit a city for a day and talk to a travel agent, who plans three places for you, in order. "
                    "You know what you wish for; the agent knows the places. Wishes may be hard to meet all at once.",
                    "What you wish for:",
                    *(f"- {wish.text}" for wish in self.wishes),
                    "Begin what you write with the kind of act. [message] talks to the agent. A proposal must be "
                    "answered with [accept], which ends the game, or [reject], after which you say what to change.",
                ]
            )
        return "\n".join(
            [
                "You are a travel agent. Plan a day in the city for the user: three different places, in order. Find "
                "out what the user wishes for, and meet the wishes as well as you can; the user also likes short ways.",
                f"You have a search tool for the {len(self.sites)} places of the city. Types: "
                f"{', '.join(city()['kinds'])}. Fields: {', '.join(site_fields())}. Of each place only some are known.",
                "Begin what you write with the kind of act. [message] talks to the user. [think] is a note to "
                "yourself. [tool] searches, for example: [tool] Search(fields=[name, price, good for kids], "
                "filters=[type == museum, price <= 20], text_query='open late', sort_by=[distance_to(Otter Pond)], "
                f"limit=5). Filters are ==, >= or <=; all parts may be left out; limit is {LIMIT} unless set.",
                "[propose] names the three places in order, as in: [propose] 1. Otter Pond; 2. Slow Drip; 3. Whale "
                "Arch. The user accepts, which ends the game, or rejects.",
            ]
        )

    def _choices(self, chosen: Sequence[str]) -> tuple[str, ...]:
        return tuple(s.name for s in self.sites if s.name not in chosen) if len(chosen) < STOPS else ()

    def _write(self, parts: Sequence[str]) -> str:
        return "; ".join(f"{number}. {name}" for number, name in enumerate(parts, 1))

    def _read(self, content: str) -> Decision:
        return read_itinerary(content, [site.name for site in self.sites])

    def _answer_next(self, role: str) -> tuple[str, ...]:  # noqa: ARG002 (only the agent proposes)
        return ("user",)

    def _talkers(self) -> Mapping[str, tuple[str, ...]]:
        return {"agent": ("message", "propose", "think", "tool"), "user": ("message",)}

    def _show(self, role: str, decision: Decision) -> None:
        stops = [self.sites[index] for index in decision]
        legs = [miles(a.place, b.place) for a, b in pairwise(stops)]
        lines = [f"{number}. {_described(site)}" for number, site in enumerate(stops, 1)]
        lines.append(f"Ways: {' and '.join(map(str, legs))} miles; prices add up to ${sum(s.price for s in stops)}.")
        act = Act("propose", self._write(self.parts(decision)))
        # The user has no search tool, so the proposal lists the known features.
        self._tell(Event(role, "\n".join(["[propose]", *lines]), act))

    def _say(self, role: str, act: Act) -> None:
        if act.kind == "message":
            self._tell(Event(role, act.content, act))
            return
        self.turn = role
        self._tell(Event(role, str(act), act), role)
        if act.kind == "tool":
            self._tell(Event("game", answer_query(act.content, self.sites)), role)


def _described(site: Site) -> str:
    facts = "; ".join(
        f"{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in site.features.items()
    )
    return f"{site.name} ({site.kind}, ${site.price}; {facts})"


def read_itinerary(content: str, names: Sequence[str]) -> Decision:
    """Read a full itinerary: three different sites in order.

    Raises:
        IllegalActError: the text is not a full itinerary. The message says what is wrong.
    """
    found = [index for index, _, _ in mentions(content, names)]
    named = ", ".join(repr(names[index]) for index in found) or "none that there is"
    if len(set(found)) < len(found):
        raise IllegalActError(f"a place stands twice ({named}); name {STOPS} different places, each once")
    if len(found) != STOPS:
        raise IllegalActError(f"a proposal names exactly {STOPS} places, by their full names; this one names {named}")
    return tuple(found)
