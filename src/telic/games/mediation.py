"""Mediation: an agent books a flight for each of two users who do not talk to each other.

The mediation game of Lin et al. (arXiv 2305.20076). Each user has a private calendar and wants a cheap flight that
misses few important meetings; both want to arrive at about the same time. The agent sees the flights of both users and
three quarters of their meetings, without the importance of the meetings. The score is the sum over both users,
normalised between the worst and the best pair of flights.

Turns: the users speak first, one after the other. The agent then writes to one user or to both, and these users answer
before the agent's next turn. The first user answers a proposal, then the second; each sees its own flight only. If both
accept, the game ends. A rejection withdraws the proposal from both, and the user who rejected says why.

Random proposals reach a mean of 0.599, people 0.970 (162 games).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from telic.games.base import Act, Event, IllegalActError, References
from telic.games.decisions import Decision, DecisionGame
from telic.games.mediation_world import (
    Flight,
    draw_traveller,
    hours_apart,
    overlapping,
    show_time,
    worth_alone,
    worth_together,
)

__all__ = ["USERS", "MediationGame", "read_flights"]

USERS = ("user-1", "user-2")


@dataclass
class MediationGame(DecisionGame):
    """The mediation game; a decision is a flight of each user."""

    name: ClassVar[str] = "mediation"
    roles: ClassVar[tuple[str, ...]] = ("agent", *USERS)

    max_turns: int = 60
    """Hard cap of accepted acts of all three roles."""

    def _draw(self, seed: int) -> None:
        rng = random.Random(seed)
        while self.best == self.worst:
            self.travellers = {user: draw_traveller(rng) for user in USERS}
            self.together_weight = rng.randint(1, 10)
            first, second = self.travellers.values()
            self._apart = hours_apart(first.flights, second.flights)
            meeting = worth_together(self._apart, self.together_weight)
            self._alone = worth_alone(first)[:, None] + meeting, worth_alone(second)[None] + meeting
            self._worth = self._alone[0] + self._alone[1]
            self.best, self.worst = int(self._worth.max()), int(self._worth.min())
        self.turn, self._waiting = USERS[0], [USERS[1]]

    def optimum(self) -> Decision:
        """Return a best pair of flights."""
        first, second = np.unravel_index(self._worth.argmax(), self._worth.shape)
        return int(first), int(second)

    def value(self, decision: Decision) -> int:
        """Return the score of a pair of flights: the sum over both users."""
        return int(self._worth[decision])

    def parts(self, decision: Decision) -> tuple[str, ...]:
        """Return the flights as `options` lists them."""
        return tuple(self._flight(user, index) for user, index in zip(USERS, decision, strict=True))

    def references(self) -> References:
        """Return the random and the perfect player, and the score of people in arXiv 2305.20076."""
        return References(lower="random", upper="oracle", human=0.970, human_episodes=162)

    def private(self, role: str) -> Mapping[str, Any]:
        """Return all flights and the known meetings for the agent, calendar and weights for a user."""
        if role in USERS:
            own = self.travellers[role]
            calendar = [asdict(meeting) for meeting in own.calendar]
            weights = {"price_weight": own.price_weight, "together_weight": self.together_weight}
            return {"calendar": calendar, "mean_price": own.mean_price, **weights}
        return {
            user: {
                "flights": [asdict(flight) for flight in own.flights],
                "busy": [[meeting.start, meeting.end] for meeting in own.calendar if meeting.shared],
            }
            for user, own in self.travellers.items()
        }

    def _flight(self, user: str, index: int) -> str:
        return f"flight {index + 1} ({_described(self.travellers[user].flights[index])})"

    def _instruct(self, role: str) -> str:
        return self._instruct_user(role) if role in USERS else self._instruct_agent()

    def _instruct_user(self, role: str) -> str:
        own = self.travellers[role]
        meetings = [f"- {show_time(m.start)} to {show_time(m.end)[-5:]}, {m.importance}" for m in own.calendar]
        return "\n".join(
            [
                "You and a friend, who are in different cities, fly to the same place between Wed 05-31 9:00 and Fri "
                "06-02 19:00. A travel agent talks to each of you alone and books a flight for each; only the agent "
                "sees the flights. Any flight makes you miss some meeting.",
                "Your calendar, with how important a meeting is to you (1 to 10), which it costs to miss it:",
                *meetings,
                f"A flight usually costs ${own.mean_price}. One at twice that price costs you {own.price_weight} "
                "points, a cheaper one saves as much in proportion. Arriving hours apart from your friend costs each "
                f"of you {self.together_weight} points for every three hours.",
                "Begin what you write with the kind of act. [message] talks to the agent. A proposal must be answered "
                "with [accept] or [reject]; after [reject] say why. It is booked when your friend accepts too.",
            ]
        )

    def _instruct_agent(self) -> str:
        lines = []
        for user, own in self.travellers.items():
            busy = [f"{show_time(m.start)} to {show_time(m.end)[-5:]}" for m in own.calendar if m.shared]
            flights = [f"- {self._flight(user, index)}" for index in range(len(own.flights))]
            lines += [f"{user} is busy, as far as you know: {'; '.join(busy)}.", f"Flights for {user}:", *flights]
        return "\n".join(
            [
                "You are a travel agent and book a flight for each of two users. They are friends who want to arrive "
                "at about the same time; each also wants a cheap flight and has meetings, some more important than "
                "others. You do not see all meetings, nor how important they are: ask. The users cannot talk to "
                "each other. The better the flights suit both together, the better.",
                *lines,
                "Begin what you write with the kind of act. [message] talks to one user, as in: [message] user-1: "
                "Which meetings matter most to you? Or to both: [message] both: ... [propose] names a flight of "
                "each, as in: [propose] user-1: flight 2; user-2: flight 5. Both must accept.",
            ]
        )

    def _choices(self, chosen: Sequence[str]) -> tuple[str, ...]:
        if len(chosen) >= len(USERS):
            return ()
        user = USERS[len(chosen)]
        return tuple(self._flight(user, index) for index in range(len(self.travellers[user].flights)))

    def _write(self, parts: Sequence[str]) -> str:
        return "; ".join(f"{user}: {part}" for user, part in zip(USERS, parts, strict=False))

    def _read(self, content: str) -> Decision:
        return read_flights(content, {user: len(own.flights) for user, own in self.travellers.items()})

    def _answer_next(self, role: str) -> tuple[str, ...]:  # noqa: ARG002 (only the agent proposes)
        return USERS

    def _talkers(self) -> Mapping[str, tuple[str, ...]]:
        return {"agent": ("message", "propose"), **dict.fromkeys(USERS, ("message",))}

    def _show(self, role: str, decision: Decision) -> None:
        act = Act("propose", self._write(self.parts(decision)))
        self._tell(Event(role, str(act), act), role)
        for user, index in zip(USERS, decision, strict=True):
            own = self.travellers[user]
            missed = [
                f"{show_time(m.start)} (importance {m.importance})"
                for m in overlapping(own.flights[index], own.calendar)
            ]
            act = Act("propose", self._flight(user, index))
            text = f"{act}. You would miss: {', '.join(missed)}. Hours between arrivals: {self._apart[decision]}."
            self._tell(Event(role, text, act), user)

    def _tell_answer(self, role: str, act: Act) -> None:
        self._tell(Event(role, str(act), act), role, "agent")
        if act.kind == "reject":
            other = self._other(role)
            self._tell(Event("game", "The other user rejected; the proposal is withdrawn."), other)

    def _after_rejection(self, role: str) -> str:
        self._waiting = []
        return role

    def _say(self, role: str, act: Act) -> None:
        if role in USERS:
            self._tell(Event(role, act.content, act), role, "agent")
            self.turn = self._waiting.pop(0) if self._waiting else "agent"
            return
        users, text = _addressed(act.content)
        self._tell(Event(role, act.content, act), role)
        self._tell(Event(role, text, Act("message", text)), *users)
        self.turn, self._waiting = users[0], list(users[1:])

    def _other(self, user: str) -> str:
        return USERS[1 - USERS.index(user)]

    def _payoffs(self, decision: Decision) -> Mapping[str, float]:
        return {user: float(worth[decision]) for user, worth in zip(USERS, self._alone, strict=True)}


def _described(flight: Flight) -> str:
    return f"{flight.carrier}, {show_time(flight.start)} to {show_time(flight.end)}, ${flight.price}"


_USER = r"user[\s_-]?(?P<user>[12])\b"
_TO = re.compile(rf"\s*(?:to\s+|@)?(?:{_USER}|both|all)\s*[:,]\s*(?P<text>.*)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\W*(?:(?:flight|number|no)\b[\s#.:]*)*(?P<number>\d+)(?![\d:])", re.IGNORECASE)


def _addressed(content: str) -> tuple[tuple[str, ...], str]:
    """Parse `user-1: ...` into recipients and text; without an address, to both users."""
    found = _TO.match(content)
    if found is None:
        return USERS, content
    if not found["text"].strip():
        raise IllegalActError("an empty message; write something after the name of the user")
    return (USERS if found["user"] is None else (f"user-{found['user']}",)), found["text"].strip()


def read_flights(content: str, counts: Mapping[str, int]) -> Decision:
    """Read a flight of each user, by number from 1: `user-1: flight 3; user-2: flight 7`, in any order.

    Raises:
        IllegalActError: the text is not one flight of each user. The message says what is wrong.
    """
    form = "write [propose] user-1: flight 3; user-2: flight 7, with the numbers of the flights"
    chosen: dict[str, int] = {}
    for found in re.finditer(_USER, content, re.IGNORECASE):
        user = f"user-{found['user']}"
        number = _NUMBER.match(content, found.end())
        if number is None:
            raise IllegalActError(f"no flight number after {found[0]!r}; {form}")
        if user in chosen:
            raise IllegalActError(f"{user!r} stands twice; {form}")
        chosen[user] = int(number["number"][:6])
        if not 1 <= chosen[user] <= counts[user]:
            raise IllegalActError(f"{user} has no flight {number['number']}; there are 1 to {counts[user]}")
    missing = [user for user in USERS if user not in chosen]
    if missing:
        raise IllegalActError(f"no flight for {' and '.join(missing)}; {form}")
    return tuple(chosen[user] - 1 for user in USERS)
