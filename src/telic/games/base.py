"""The base class of all games: a pure, seeded state machine over utterances, with hidden information and a reward.

Each utterance is an act. The legal acts, the observations and the outcome are functions of the seed and the acts so
far; a game calls no model and does no I/O. A malformed or illegal act changes nothing. The game tells the role why it
refused the act, and the role may try again. After `MAX_ATTEMPTS` attempts the episode ends as invalid, and the outcome
names whose fault it was.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from telic.errors import ConfigError
from telic.registry import Registry
from telic.tools import Tool

__all__ = [
    "Act",
    "Event",
    "Fault",
    "Game",
    "IllegalActError",
    "Observation",
    "Outcome",
    "References",
    "Split",
    "Step",
    "build_game",
    "registry",
]

Fault = Literal["agent", "partner", "judge", "environment"]
"""Who made an episode invalid. `agent` is the role under test, `partner` any other role."""

Split = Literal["train", "test", "all"]
"""Scenarios that a game draws from. `train` and `test` share none."""

MAX_ATTEMPTS = 3
"""Attempts at one act, the first included, before the episode ends as invalid."""
TEST_SHARE = 5
"""One scenario in this many belongs to the test split."""


class IllegalActError(Exception):
    """An act that the rules do not allow now. The message addresses the player and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a role, written `[kind] content`."""

    kind: str
    content: str = ""

    def __str__(self) -> str:
        return f"[{self.kind}] {self.content}".rstrip()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a role saw."""

    speaker: str
    """A role, or `game` for the environment."""
    text: str
    act: Act | None = None
    """The act that caused the event, if there was one."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a role knows on its turn."""

    role: str
    instructions: str
    """Text given at the start: the task, the private information, the rules."""
    events: tuple[Event, ...]
    """Events seen since, in order, the role's own acts included."""
    legal: tuple[str, ...]
    """Kinds of act that are open to the role now."""
    error: str | None = None
    """Why the game refused the last attempt, if it did."""


@dataclass(frozen=True, slots=True)
class Step:
    """The effect of one act."""

    accepted: bool
    error: str | None = None
    """Why the game refused the act. Only the role that acted sees it."""
    reward: Mapping[str, float] = field(default_factory=dict)
    """Reward of this act per role. The rewards of an episode add up to the payoff."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an episode."""

    valid: bool
    score: float | None = None
    """Score in the game's own unit; None if there is none, and `reason` says why."""
    normalised: float | None = None
    """Score in [0, 1], if the best and the worst possible scores are known."""
    success: bool | None = None
    fault: Fault | None = None
    """Who made the episode invalid."""
    reason: str = ""
    """Why the episode is invalid, or how it ended."""
    per_role: Mapping[str, float] = field(default_factory=dict)
    """Payoff of each role, if the payoffs differ."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON values: best and worst score, final proposal, ..."""


@dataclass(frozen=True, slots=True)
class References:
    """The players that a game's scores are compared with."""

    lower: str | None = None
    """Name of the scripted player at the lower end of the scale; None if no script bounds it."""
    upper: str | None = None
    """Name of the scripted player at the upper end of the scale; None if no script bounds it."""
    partner: str | None = None
    """Name of the scripted player that both play against; None if each plays against a copy of itself."""
    human: float | None = None
    """Published mean normalised score of people."""
    human_episodes: int = 0
    """Recorded episodes behind `human`."""


class Game(ABC):
    """The base class of all games. One object plays one episode at a time: `reset` starts the next.

    Subclasses are dataclasses whose fields are the game's settings. They implement `_reset`, `_legal`, `_apply`,
    `_outcome` and `instructions`. This class implements turns, caps, repeated attempts and invalid endings.
    """

    name: ClassVar[str]
    roles: ClassVar[tuple[str, ...]]
    """All roles. The first is the agent under test unless `fault_of` says otherwise."""
    kinds: ClassVar[tuple[str, ...]] = ("message",)
    """All kinds of act. An utterance without a kind is read as an act of the first kind."""
    wordless: ClassVar[frozenset[str]] = frozenset()
    """Kinds of act that need no content."""
    has_held_out: ClassVar[bool] = False
    """Whether the game has a setting `split` whose values `train` and `test` share no scenario."""
    needs_players: ClassVar[str] = ""
    """What a model that only speaks cannot do in this game; empty if it can play it."""
    max_turns: int = 40
    """Hard cap of accepted acts. Reaching it ends the episode, and `_outcome` scores it."""

    seed: int
    turn: str | None
    """The role whose turn it is; None once the episode is over."""
    turns: int
    """Number of accepted acts so far."""

    @final
    def reset(self, seed: int) -> None:
        """Start a new episode, which is a function of the seed and the acts.

        Raises:
            ConfigError: the game's settings contradict each other.
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

    @property
    def scenarios(self) -> int | None:
        """Number of different scenarios; None if there are as many as seeds."""
        return None

    @final
    def observe(self, role: str) -> Observation:
        """Return what a role knows now."""
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
        """Carry out a role's utterance as its act.

        A malformed or illegal act changes nothing but the count of attempts. The last allowed attempt ends the episode
        as invalid, through the fault of this role.

        Raises:
            ConfigError: it is not this role's turn, or the episode is over. This is an error of the caller.
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
            if self._attempts >= MAX_ATTEMPTS:
                self.invalidate(self.fault_of(role), f"{role} made no legal act in {MAX_ATTEMPTS} attempts: {error}")
            return Step(False, str(error))
        self._attempts, self._error = 0, None
        self.turns += 1
        if self.turn is not None and self.turns >= self.max_turns:
            self.end("turn limit")
        return Step(True, reward=reward)

    @final
    def outcome(self) -> Outcome:
        """Return the result of the episode, or of what was played of it so far."""
        if self._fault is not None:
            return Outcome(False, fault=self._fault, reason=self.ended)
        return self._outcome()

    @final
    def invalidate(self, fault: Fault, reason: str) -> None:
        """End the episode as invalid, without a score."""
        self._fault = fault
        self.end(reason)

    @final
    def end(self, reason: str) -> None:
        """End the episode."""
        self.turn, self.ended = None, reason

    def parse(self, role: str, utterance: str) -> Act:
        """Parse an utterance `[kind] content`. Without a kind it is an act of the first kind.

        Raises:
            IllegalActError: the utterance is empty or malformed.
        """
        found = _ACT.match(utterance)
        if found and found["kind"].lower() in self.kinds:
            return Act(found["kind"].lower(), found["content"].strip())
        if not utterance.strip():
            raise IllegalActError("an empty utterance; say something")
        return Act(self.kinds[0], utterance.strip())

    def options(self, role: str, kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the choices for the next part of an act with a form, such as a proposal.

        A model that cannot write the form chooses its parts one by one, and `fill` writes the act.

        Args:
            role: the role that acts.
            kind: the kind of act.
            chosen: the parts chosen so far.

        Returns:
            The choices; empty if all parts are chosen, or if the content is free text.
        """
        return ()

    def fill(self, role: str, kind: str, chosen: Sequence[str]) -> str:
        """Return the content of an act from its chosen parts."""
        return " ".join(chosen)

    def fault_of(self, role: str) -> Fault:
        """Return whose fault it is if this role makes the episode invalid."""
        return "agent" if role == self.roles[0] else "partner"

    def played_by_rules(self, role: str) -> bool:
        """Return whether the rules play this role, so that it needs no player."""
        return False

    def asks_for_kind(self, role: str) -> bool:
        """Return whether the instructions ask this role to begin each utterance with `[kind]`."""
        return False

    def references(self) -> References:
        """Return the players that bound the game's scale, and the published score of people."""
        return References()

    def tools(self, role: str) -> Sequence[Tool]:
        """Return the tools that the rules give to a role, besides its player's own. Their calls are no acts."""
        return ()

    def judge_prompts(self) -> tuple[str, ...]:
        """Return the prompts for a judge model once the episode is over; empty if rules score it."""
        return ()

    def read_verdicts(self, answers: Sequence[str]) -> bool:
        """Read the judge's answers, one for each of `judge_prompts`.

        Returns:
            Whether all answers were readable. If not, `judge_prompts` returns the open prompts; a score that the judge
            never gives stays missing.
        """
        return True

    @abstractmethod
    def instructions(self, role: str) -> str:
        """Return the text that a role gets at the start."""

    @abstractmethod
    def private(self, role: str) -> Mapping[str, Any]:
        """Return what only this role knows, as JSON for transcripts."""

    @abstractmethod
    def _reset(self, seed: int) -> None:
        """Draw the episode. May set `turn` to the role that starts."""

    @abstractmethod
    def _legal(self, role: str) -> tuple[str, ...]:
        """Return the kinds of act open to the role whose turn it is; never empty."""

    @abstractmethod
    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        """Carry out a legal act: show it to the roles with `_tell`, and set `turn` or call `end` where needed.

        Returns:
            The reward of this act per role.

        Raises:
            IllegalActError: the content of the act is not allowed. The game must be unchanged.
        """

    @abstractmethod
    def _outcome(self) -> Outcome:
        """Score a valid episode."""

    def _refuse(self, setting: str, expected: str) -> None:
        """Refuse the value of a setting.

        Raises:
            ConfigError: always; it names the setting, its value and what is expected.
        """
        raise ConfigError(f"game {self.name!r}: {setting} is {getattr(self, setting)!r}; expected {expected}")

    def _next(self, role: str) -> str:
        return self.roles[(self.roles.index(role) + 1) % len(self.roles)]

    def _tell(self, event: Event, *roles: str) -> None:
        """Show an event to some roles; by default to all."""
        for role in roles or self.roles:
            self._seen[role].append(event)


registry: Registry[Callable[..., Game]] = Registry("game")
"""Game factories by name. The `[game]` of a purpose file has a `name`; its other keys are the settings."""


def build_game(spec: Mapping[str, Any]) -> Game:
    """Build a game from its table in a purpose file.

    Raises:
        ConfigError: the game's name is unknown, or one of its settings is wrong.
    """
    made: Game = registry.make(spec)
    return made


_ACT = re.compile(r"\s*\[(?P<kind>[A-Za-z_-]+)\]\s*(?P<content>.*)", re.DOTALL)
