"""A game: a pure, seeded state machine over utterances, with hidden information and a reward. No model, no I/O.

Each utterance is an act. What a role may do now, what it has seen, and what the play is worth in the end are functions
of the seed and the acts so far. A malformed or illegal act changes nothing: the offender is told why and may try again
a few times, then the episode ends as invalid, and the outcome says at whose fault.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from telic.errors import ConfigError
from telic.registry import Registry

__all__ = ["Act", "Event", "Fault", "Game", "IllegalActError", "Observation", "Outcome", "Step", "build", "registry"]

Fault = Literal["agent", "partner", "judge", "environment"]
"""Who made an episode invalid. Of two players, `agent` is the one under test (the game's first role of its kind)."""

REPAIRS = 3
"""Attempts at one act, the first included, before the episode is given up."""


class IllegalActError(Exception):
    """An act that the rules do not allow now; the message is for the player, and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Act:
    """What a role does: `[kind] content`."""

    kind: str
    content: str = ""

    def __str__(self) -> str:
        return f"[{self.kind}] {self.content}".rstrip()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a role saw."""

    speaker: str
    """A role, or `game` for what the environment says."""
    text: str
    act: Act | None = None
    """The act behind it, where it was one."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a role knows when it is its turn."""

    role: str
    instructions: str
    """What it was told at the start: its task, its private information, the rules."""
    events: tuple[Event, ...]
    """What it has seen since, in order, its own acts included."""
    legal: tuple[str, ...]
    """Kinds of act that it may do now."""
    error: str | None = None
    """Why its last attempt was refused, if it was."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an act brought about."""

    accepted: bool
    error: str | None = None
    """Why it was not accepted: said to the offender only."""
    reward: Mapping[str, float] = field(default_factory=dict)
    """Per role, for this act alone; an episode's rewards add up to what the game pays."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an episode."""

    valid: bool
    score: float | None = None
    """In the game's own unit; None where there is none, with the reason."""
    normalised: float | None = None
    """In [0, 1], where the best and the worst are known."""
    success: bool | None = None
    fault: Fault | None = None
    """Who made it invalid."""
    reason: str = ""
    """Why it is invalid, or how it ended."""
    per_role: Mapping[str, float] = field(default_factory=dict)
    """Each role's own payoff, where they differ."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth keeping (JSON): best and worst, the final proposal, ..."""


class Game(ABC):
    """Base of all games. An object is one episode at a time: `reset` starts a new one.

    Subclasses are dataclasses whose fields are the game's settings. They implement `_reset`, `_legal`, `_apply`,
    `_outcome` and `instructions`; turns, caps, repairs and invalid endings are kept here, once.
    """

    name: ClassVar[str]
    roles: ClassVar[tuple[str, ...]]
    """The first is the agent under test, unless the game says otherwise."""
    kinds: ClassVar[tuple[str, ...]] = ("message",)
    """All kinds of act; the first is what an utterance without a kind is taken for."""
    max_turns: int = 40
    """Hard cap of accepted acts; reaching it ends the episode (`_outcome` says what that is worth)."""

    seed: int
    turn: str | None
    """Whose turn it is; None once the episode is over."""
    turns: int
    """Accepted acts so far."""

    @final
    def reset(self, seed: int) -> None:
        """Start a new episode; everything about it follows from the seed.

        Raises:
            ConfigError: the game's settings do not go together.
        """
        self.seed, self.turns, self.ended = seed, 0, ""
        self.turn = self.roles[0]
        self._fault: Fault | None = None
        self._attempts = 0
        self._error: str | None = None
        self._seen: dict[str, list[Event]] = {role: [] for role in self.roles}
        self._reset(seed)

    @property
    @final
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self.turn is None

    @final
    def observe(self, role: str) -> Observation:
        """What a role knows now."""
        mine = role == self.turn
        return Observation(
            role,
            self.instructions(role),
            tuple(self._seen[role]),
            tuple(self._legal(role)) if mine else (),
            self._error if mine else None,
        )

    @final
    def step(self, role: str, utterance: str) -> Step:
        """Take a role's utterance as its act.

        A malformed or illegal one changes nothing but the count of attempts; with the last of them the episode ends
        as invalid, at this role's fault.

        Raises:
            ConfigError: it is not this role's turn, or the episode is over (the caller's mistake, not a player's).
        """
        if role != self.turn:
            whose = "the episode is over" if self.turn is None else f"it is the turn of {self.turn!r}"
            raise ConfigError(f"game {self.name!r}: {role!r} cannot act, {whose}")
        try:
            act = self.parse(role, utterance)
            legal = self._legal(role)
            if act.kind not in legal:
                raise IllegalActError(f"[{act.kind}] is not possible now; possible: {', '.join(legal)}")
            self.turn = self._next(role)
            reward = self._apply(role, act) or {}
        except IllegalActError as error:
            self.turn, self._error = role, str(error)
            self._attempts += 1
            if self._attempts >= REPAIRS:
                self.void(self.fault_of(role), f"{role} made no legal act in {REPAIRS} attempts: {error}")
            return Step(False, str(error))
        self._attempts, self._error = 0, None
        self.turns += 1
        if self.turn is not None and self.turns >= self.max_turns:
            self.end("turn limit")
        return Step(True, reward=reward)

    @final
    def outcome(self) -> Outcome:
        """What came of the episode (so far, where it is not over)."""
        if self._fault is not None:
            return Outcome(False, fault=self._fault, reason=self.ended)
        return self._outcome()

    @final
    def void(self, fault: Fault, reason: str) -> None:
        """End the episode as invalid: no score, and whose fault it is."""
        self._fault = fault
        self.end(reason)

    @final
    def end(self, reason: str) -> None:
        """End the episode."""
        self.turn, self.ended = None, reason

    def parse(self, role: str, utterance: str) -> Act:
        """Read an utterance as an act: `[kind] content`; what names no kind is a message.

        Raises:
            IllegalActError: it is empty, or cannot be read.
        """
        found = _ACT.match(utterance)
        if found and found["kind"].lower() in self.kinds:
            return Act(found["kind"].lower(), found["content"].strip())
        if not utterance.strip():
            raise IllegalActError("an empty utterance; say something")
        return Act(self.kinds[0], utterance.strip())

    def options(self, role: str, kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """For acts with a form: what may be chosen next, after `chosen`; empty where the form is full, or is free text.

        A model that cannot write the form picks its parts one after the other; `fill` then writes the act.
        """
        return ()

    def fill(self, role: str, kind: str, chosen: Sequence[str]) -> str:
        """The content of an act whose parts were chosen."""
        return " ".join(chosen)

    def fault_of(self, role: str) -> Fault:
        """Whom to blame where this role breaks the episode."""
        return "agent" if role == self.roles[0] else "partner"

    def questions(self) -> tuple[str, ...]:
        """What a judge model is to be asked once the episode is over; empty where rules score it."""
        return ()

    def verdicts(self, answers: Sequence[str]) -> bool:
        """Take the judge's answers, one for each of `questions`.

        Returns:
            Whether all could be read. If not, `questions` asks for the rest; what is never answered stays missing.
        """
        return True

    @abstractmethod
    def instructions(self, role: str) -> str:
        """What a role is told at the start."""

    @abstractmethod
    def private(self, role: str) -> Mapping[str, Any]:
        """What only this role knows, as JSON: for transcripts."""

    @abstractmethod
    def _reset(self, seed: int) -> None:
        """Draw the episode; may set `turn` to the role that starts."""

    @abstractmethod
    def _legal(self, role: str) -> tuple[str, ...]:
        """Kinds of act open to the role whose turn it is; never empty."""

    @abstractmethod
    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        """Carry out a legal act: tell the roles (`_tell`), set `turn` if it is not simply the next one's, or `end`.

        Returns:
            The reward of this act per role.

        Raises:
            IllegalActError: its content cannot be carried out. Nothing may have been changed before.
        """

    @abstractmethod
    def _outcome(self) -> Outcome:
        """Score a valid episode."""

    def _next(self, role: str) -> str:
        return self.roles[(self.roles.index(role) + 1) % len(self.roles)]

    def _tell(self, event: Event, *roles: str) -> None:
        """Let roles see an event: by default all of them."""
        for role in roles or self.roles:
            self._seen[role].append(event)


registry: Registry[Callable[..., Game]] = Registry("game")
"""Game factories by name; a purpose file's `[game]` names one, its other keys are the settings."""


def build(spec: Mapping[str, Any]) -> Game:
    """Make a game from its table in a purpose file.

    Raises:
        ConfigError: no game has this name, or it does not take these settings.
    """
    made: Game = registry.make(spec)
    return made


_ACT = re.compile(r"\s*\[(?P<kind>[A-Za-z_-]+)\]\s*(?P<content>.*)", re.DOTALL)
