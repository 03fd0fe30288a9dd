"""Players without a model: chance, those who know everything, the classics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from random import Random
from typing import Any, Protocol

from telic.agents.player import NEUTRAL, Seat, fill_form, seed_of
from telic.errors import ConfigError
from telic.games.base import Act, Game, Observation
from telic.models import Model, Reply, Request
from telic.registry import suggest

__all__ = ["ScriptedPlayer", "Talker", "TalkingPlayer", "scripted_names", "scripted_player"]

Speak = Callable[[Game, str], str]
"""Takes the game and the role whose turn it is, and returns the utterance."""
Start = Callable[[int], Speak]
"""Takes the episode's seed; what a script remembers begins anew with every episode."""


class ScriptedPlayer:
    """Plays by a script, which may look into the game.

    Args:
        name: how reports call it.
        start: makes the script of one seat from its seed.
    """

    model: Model | None = None
    system = ""

    def __init__(self, name: str, start: Start) -> None:
        self.name, self.start = name, start

    def seat(self, game: Game, role: str, seed: int) -> Seat:
        """Take part in an episode."""
        return _ScriptedSeat(game, role, self.start(seed))

    def spec(self) -> dict[str, Any]:
        """Its name."""
        return {"scripted": self.name}


class _ScriptedSeat:
    def __init__(self, game: Game, role: str, speak: Speak) -> None:
        self.game, self.role, self.speak = game, role, speak
        self.notes: Counter[str] = Counter()

    def act(self, observation: Observation) -> Generator[Request, Reply, str]:  # noqa: ARG002 (it sees the game)
        return self.speak(self.game, self.role)
        yield  # makes this a generator that has no requests


class Talker(Protocol):
    """Answers whatever was said to it last."""

    def reply(self, text: str) -> str:
        """Answer."""
        ...


class TalkingPlayer:
    """Talks as one of the classics does, or any other talker; where it cannot just talk, chance decides.

    Args:
        name: how reports call it.
        start: makes the talker of one seat from its seed.
    """

    model: Model | None = None
    system = ""

    def __init__(self, name: str, start: Callable[[int], Talker]) -> None:
        self.name, self.start = name, start

    def seat(self, game: Game, role: str, seed: int) -> Seat:
        """Take part in an episode."""
        return _TalkingSeat(self.start(seed), game, role, seed)

    def spec(self) -> dict[str, Any]:
        """Its name."""
        return {"scripted": self.name}


class _TalkingSeat:
    def __init__(self, talker: Talker, game: Game, role: str, seed: int) -> None:
        self.talker, self.game, self.role = talker, game, role
        self.notes: Counter[str] = Counter()
        self._draw = Random(seed_of(seed, role))
        self._heard = 0

    def act(self, observation: Observation) -> Generator[Request, Reply, str]:
        if self.game.kinds[0] not in observation.legal:
            return _any_act(self.game, self.role, self._draw)
        news = [e.text for e in observation.events[self._heard :] if e.speaker != self.role]
        self._heard = len(observation.events)
        return str(Act(self.game.kinds[0], self.talker.reply("\n".join(news) or "Hello.")))
        yield  # makes this a generator that has no requests


def scripted_player(name: str, game: str) -> ScriptedPlayer | TalkingPlayer:
    """A player without a model, by name.

    Args:
        name: `random`, `oracle`, a classic, or another script of the game.
        game: the name of the game that it plays.

    Raises:
        ConfigError: there is none of this name for this game.
    """
    from telic.agents.classics import CLASSICS

    if name in CLASSICS:
        return TalkingPlayer(name, CLASSICS[name])
    scripts = _scripts(game)
    if name not in scripts:
        near = suggest(name, [*scripts, *CLASSICS])
        raise ConfigError(f"the game {game!r} has no scripted player {name!r}{near}")
    return ScriptedPlayer(name, scripts[name])


def scripted_names(game: str) -> tuple[str, ...]:
    """The scripts that are made for a game."""
    return tuple(_scripts(game))


def _scripts(game: str) -> dict[str, Start]:
    makers: dict[str, Callable[[], dict[str, Start]]] = {
        "elicitation": _elicitation,
        "negotiation": _negotiation,
        "redteam": _redteam,
        "sotopia": _sotopia,
        **dict.fromkeys(("assignment", "itinerary", "mediation"), _decisions),
    }
    return {"random": _chance, **makers.get(game, dict)()}


def _chance(seed: int) -> Speak:
    draw = Random(seed)
    return lambda game, role: _any_act(game, role, draw)


def _any_act(game: Game, role: str, draw: Random) -> str:
    kind = draw.choice(game.observe(role).legal)
    return str(Act(kind, fill_form(game, role, kind, draw) or NEUTRAL))


def _elicitation() -> dict[str, Start]:
    from telic.agents.scripted.talk import OpenAsker, OracleAsker, RandomAsker, say_directed

    def with_customer(asker: Callable[[int], Speak]) -> Start:
        def start(seed: int) -> Speak:
            ask = asker(seed)
            return lambda game, role: say_directed(game, role) if role == "customer" else ask(game, role)

        return start

    return {
        "random": with_customer(RandomAsker),
        "open": with_customer(OpenAsker),
        "oracle": with_customer(lambda _: OracleAsker()),
    }


def _negotiation() -> dict[str, Start]:
    from telic.agents.scripted.bargain import concession_player, oracle_player, random_player

    players = {"random": random_player, "concession": concession_player, "oracle": oracle_player}
    return {name: _with_chance(player) for name, player in players.items()}


def _sotopia() -> dict[str, Start]:
    from telic.agents.scripted.bargain import random_character

    return {"random": _with_chance(random_character)}


def _with_chance(player: Callable[[Any, str, Random], str]) -> Start:
    def start(seed: int) -> Speak:
        draw = Random(seed)
        return lambda game, role: player(game, role, draw)

    return start


def _decisions() -> dict[str, Start]:
    from telic.agents.scripted import decisions

    def start(seed: int) -> Speak:
        player: Any = decisions.RandomPlayer(seed)
        return lambda game, role: str(player(game, role))

    oracle: Any = decisions.OraclePlayer()
    return {"random": start, "oracle": lambda _: oracle}


def _redteam() -> dict[str, Start]:
    from telic.agents.scripted.talk import Persuader, RandomTalker, Refuser

    return {
        "random": RandomTalker,
        "persuader": _only("persuader", "attacker", Persuader),
        "refuser": _only("refuser", "defender", lambda _: Refuser()),
    }


def _only(name: str, role: str, start: Start) -> Start:
    def checked(seed: int) -> Speak:
        speak = start(seed)

        def guarded(game: Game, own: str) -> str:
            if own != role:
                raise ConfigError(f"the scripted player {name!r} plays the {role}, not the {own}")
            return speak(game, own)

        return guarded

    return checked
