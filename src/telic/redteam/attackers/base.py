"""The interface of attackers.

A `Strategy` takes part in an episode as an `Attacker`, which says one message, or several at once, each after a place
in the dialogue that it chooses. So a refused exchange is dropped by going on from the one before it (backtracking), and
a tree of prompts is several messages at one place. The target never sees what was dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from telic.errors import ConfigError
from telic.judges.limits import LimitVerdict
from telic.models import Control, Model
from telic.models.requesting import RequestGenerator
from telic.registry import Registry
from telic.settings import changed_fields

__all__ = [
    "START",
    "AttackBrief",
    "AttackExchange",
    "AttackMind",
    "AttackMove",
    "Attacker",
    "Strategy",
    "attacker_registry",
    "build_strategy",
]

START = None
"""The place before the first message of a dialogue."""


@dataclass(frozen=True, slots=True)
class AttackBrief:
    """What an attacker is told."""

    goal: str
    """What to make the target do, in words."""
    target: str
    """What anybody may know of the target: what users want of it."""
    limit: str
    """Name of the limit; empty for a benign user."""
    asks: Sequence[str]
    """What a user says to reach the goal, at least one message."""
    rounds: int
    """Most exchanges of one dialogue with the target."""
    queries: int
    """Most messages to the target in all, dropped ones included."""
    seed: int
    """All randomness of the attacker comes from it."""
    openers: Sequence[str] = ()
    """Harmless opening messages, such as real users write."""


@dataclass(frozen=True, slots=True)
class AttackMind:
    """A model that writes the attacker's messages."""

    model: Model
    controls: tuple[Control, ...] = ()
    """Its controls: a planner that was trained to attack."""


@dataclass(frozen=True, slots=True)
class AttackMove:
    """A message to the target."""

    text: str
    after: int | None = START
    """Number of the exchange after which it is said; `START` begins a new dialogue."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """For the record: the phase of a plan, the technique."""
    seed: int | None = None
    """Seed of the reply; None for that of the attack. A replay says which."""


@dataclass(frozen=True, slots=True)
class AttackExchange:
    """One message to the target and its reply, as the attacker sees them."""

    number: int
    """Its number among all messages to the target, from 0."""
    after: int | None
    """Number of the exchange before it in the dialogue; `START` for the first."""
    round: int
    """Its place in the dialogue, from 1."""
    said: str
    reply: str
    verdict: LimitVerdict
    refused: bool
    """Whether the reply is a refusal: of a defence, or by its wording."""
    progress: float
    """A hint how near the reply is to the goal, in [0, 1]. It is 1 for a broken limit, and decides nothing."""


class Attacker(Protocol):
    """A strategy's part in one episode. The loop ends it at a broken limit or when the budget is used up."""

    def next_moves(self, exchanges: Sequence[AttackExchange]) -> RequestGenerator[Sequence[AttackMove]]:
        """Choose the next messages: yield the requests of the attacker's mind, receive their replies.

        Args:
            exchanges: all so far, by number; none at the beginning.

        Returns:
            Messages that are sent at once, each to a branch of its own. None: the attacker gives up.

        Raises:
            ModelError: the mind failed.
        """
        ...


class Strategy:
    """Base of all strategies: a frozen dataclass, whose fields are its settings."""

    name: ClassVar[str] = "strategy"
    needs_mind: ClassVar[bool] = False
    """Whether it has no template mode."""

    def spec(self) -> dict[str, Any]:
        """Return its settings as plain data: the name, and the fields that differ from their defaults."""
        return {"name": self.name, **changed_fields(self)}

    def check(self, mind: AttackMind | None) -> None:
        """Refuse what would fail in every episode.

        Raises:
            ConfigError: it needs a mind and there is none, or a setting is wrong.
            UnsupportedControlError: the mind cannot be controlled as it would have to be.
        """
        if self.needs_mind and mind is None:
            raise ConfigError(f"attacker {self.name!r} needs a model; name one as the attacker's model")

    def join(self, brief: AttackBrief, mind: AttackMind | None = None) -> Attacker:
        """Take part in an episode.

        Args:
            brief: what the attacker is told.
            mind: writes its messages; None for the strategy's templates.
        """
        raise NotImplementedError


attacker_registry: Registry[type[Strategy]] = Registry("attacker")
"""Strategies by name, plug-ins (`attacker:NAME`) included."""
attacker_registry.declare(
    actors="telic.redteam.attackers.actors:Actors",
    benign="telic.redteam.attackers.benign:Benign",
    crescendo="telic.redteam.attackers.crescendo:Crescendo",
    direct="telic.redteam.attackers.direct:Direct",
    phased="telic.redteam.attackers.phased:Phased",
    planner="telic.redteam.attackers.planner:PlannerTalk",
    replay="telic.redteam.attackers.replay:Replay",
    scripted="telic.redteam.attackers.scripted:Scripted",
    talk="telic.redteam.attackers.talk:Talk",
    tree="telic.redteam.attackers.tree:Tree",
)


def build_strategy(spec: Mapping[str, Any]) -> Strategy:
    """Make a strategy from its table: `name`, and its settings.

    Raises:
        ConfigError: no attacker has this name, or it does not take these settings.
    """
    made: Strategy = attacker_registry.make(spec)
    return made
