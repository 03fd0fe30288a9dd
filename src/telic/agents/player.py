"""The interface of the players of games.

A player joins an episode as a participant. The participant's `act` is a generator: it yields requests to a model,
receives the replies, and returns the utterance. A driver of many episodes can thus batch their requests.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

from telic.errors import TelicError
from telic.games.base import Game, Observation
from telic.models import Model
from telic.models.requesting import RequestGenerator

__all__ = [
    "NEUTRAL",
    "ContextFullError",
    "Participant",
    "Player",
    "PlayerLeftError",
    "UtteranceGenerator",
    "fill_form",
    "seed_of",
]

NEUTRAL = "I see. Please go on."
"""Utterance in place of a reply that stays empty, or that the game keeps refusing."""

UtteranceGenerator = RequestGenerator[str]
"""Yields requests to models, receives their replies, and returns the utterance."""


class PlayerLeftError(TelicError):
    """The player left; the episode stays unfinished."""


class ContextFullError(TelicError):
    """The model's context has no room for a reply, even without the older messages of the dialogue."""


class Participant(Protocol):
    """A player's part in one episode."""

    notes: Counter[str]
    """Counts of irregular events, such as empty replies, for the record of the episode."""

    def act(self, observation: Observation) -> UtteranceGenerator:
        """Yield requests, receive their replies, and return the utterance.

        Raises:
            ModelError: a model failed.
            PlayerLeftError: the player left.
        """
        ...


class Player(Protocol):
    """A player of games. It may take part in many episodes, and in several roles of one."""

    name: str
    """Name in reports."""
    system: str
    """System prompt in addition to the game's instructions."""

    @property
    def models(self) -> Sequence[Model]:
        """Models that answer its requests; none if it makes none."""
        ...

    def join(self, game: Game, role: str, seed: int) -> Participant:
        """Take part in an episode. All randomness of the player comes from the seed."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the settings of the player as plain data. A run resumes only with the same players."""
        ...


def fill_form(game: Game, role: str, kind: str, rng: Random) -> str:
    """Fill the form of an act at random.

    Returns:
        The content of the act; empty if this kind has no form.
    """
    chosen: list[str] = []
    while options := game.options(role, kind, chosen):
        chosen.append(rng.choice(options))
    return game.fill(role, kind, chosen) if chosen else ""


def seed_of(*parts: object) -> int:
    """Derive a seed from its parts, the same on every machine and in every order of play."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:6], "big")
