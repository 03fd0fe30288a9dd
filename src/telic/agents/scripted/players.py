"""Players that follow a script, and players that talk as a conversational program does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from telic.agents.player import NEUTRAL, Participant, UtteranceGenerator, fill_form, seed_of
from telic.errors import ConfigError
from telic.games.base import Act, Game, Observation
from telic.models import Model

__all__ = [
    "Script",
    "ScriptFactory",
    "ScriptedPlayer",
    "Talker",
    "TalkingPlayer",
    "random_act",
    "random_script",
    "seeded_script",
]

Script = Callable[[Game, str], str]
"""A function of the game and the role whose turn it is, which returns the utterance. It may inspect the game."""
ScriptFactory = Callable[[int], Script]
"""A function of a seed that returns the script of one role in one episode."""

G = TypeVar("G", bound=Game)


class ScriptedPlayer:
    """A player that follows a script.

    Args:
        name: name in reports.
        start: makes the script of one role in one episode from a seed.
    """

    models: Sequence[Model] = ()
    system = ""

    def __init__(self, name: str, start: ScriptFactory) -> None:
        self.name, self.start = name, start

    def join(self, game: Game, role: str, seed: int) -> Participant:
        """Take part in an episode."""
        return _ScriptedParticipant(game, role, self.start(seed))

    def spec(self) -> dict[str, Any]:
        """Return the name of the script."""
        return {"scripted": self.name}


class _ScriptedParticipant:
    def __init__(self, game: Game, role: str, script: Script) -> None:
        self.game, self.role, self.script = game, role, script
        self.notes: Counter[str] = Counter()

    def act(self, observation: Observation) -> UtteranceGenerator:  # noqa: ARG002 (scripts see the game)
        return self.script(self.game, self.role)
        yield  # makes this a generator, which yields no requests


class Talker(Protocol):
    """A program that replies to the last utterance."""

    def reply(self, text: str) -> str:
        """Return the reply to a text."""
        ...


class TalkingPlayer:
    """A player that talks as a classic or another talker does. It chooses acts other than messages at random.

    Args:
        name: name in reports.
        start: makes the talker of one role in one episode from a seed.
    """

    models: Sequence[Model] = ()
    system = ""

    def __init__(self, name: str, start: Callable[[int], Talker]) -> None:
        self.name, self.start = name, start

    def join(self, game: Game, role: str, seed: int) -> Participant:
        """Take part in an episode."""
        return _TalkingParticipant(self.start(seed), game, role, seed)

    def spec(self) -> dict[str, Any]:
        """Return the name of the talker."""
        return {"scripted": self.name}


class _TalkingParticipant:
    def __init__(self, talker: Talker, game: Game, role: str, seed: int) -> None:
        self.talker, self.game, self.role = talker, game, role
        self.notes: Counter[str] = Counter()
        self._rng = Random(seed_of(seed, role))
        self._seen = 0

    def act(self, observation: Observation) -> UtteranceGenerator:
        if self.game.kinds[0] not in observation.legal:
            return random_act(self.game, self.role, self._rng)
        news = [e.text for e in observation.events[self._seen :] if e.speaker != self.role]
        self._seen = len(observation.events)
        return str(Act(self.game.kinds[0], self.talker.reply("\n".join(news) or "Hello.")))
        yield  # makes this a generator, which yields no requests


def random_act(game: Game, role: str, rng: Random) -> str:
    """Return a random legal act: its form filled at random, or a neutral text."""
    kind = rng.choice(game.observe(role).legal)
    return str(Act(kind, fill_form(game, role, kind, rng) or NEUTRAL))


def random_script(seed: int) -> Script:
    """Make a script that plays random legal acts of any game."""
    rng = Random(seed)
    return lambda game, role: random_act(game, role, rng)


def seeded_script(kind: type[G], choose: Callable[[G, str, Random], str]) -> ScriptFactory:
    """Make a script factory for one kind of game.

    Args:
        kind: class of the games that the script plays.
        choose: returns the utterance of a role. Its randomness comes from the seed of the episode.
    """

    def start(seed: int) -> Script:
        rng = Random(seed)

        def script(game: Game, role: str) -> str:
            if not isinstance(game, kind):
                raise ConfigError(f"this script plays {kind.__name__}, not the game {game.name!r}")
            return choose(game, role, rng)

        return script

    return start
