"""The scripted players of each game, by name."""

from __future__ import annotations

from collections.abc import Mapping

from telic.agents.classics import CLASSICS
from telic.agents.scripted import bargain, decisions, talk
from telic.agents.scripted.players import ScriptedPlayer, ScriptFactory, TalkingPlayer, random_script
from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["SCRIPTS", "scripted_names", "scripted_player"]

SCRIPTS: Mapping[str, Mapping[str, ScriptFactory]] = {
    "assignment": decisions.DECISION_SCRIPTS,
    "elicitation": talk.ELICITATION_SCRIPTS,
    "itinerary": decisions.DECISION_SCRIPTS,
    "mediation": decisions.DECISION_SCRIPTS,
    "negotiation": bargain.NEGOTIATION_SCRIPTS,
    "redteam": talk.REDTEAM_SCRIPTS,
    "sotopia": talk.SOTOPIA_SCRIPTS,
}
"""Scripts by game and name. Every game also has `random`, which plays any legal act."""


def scripted_player(name: str, game: str) -> ScriptedPlayer | TalkingPlayer:
    """Build a player without a model.

    Args:
        name: `random`, `oracle`, another script of the game, or a classic.
        game: name of the game that it plays.

    Raises:
        ConfigError: the game has no scripted player of this name.
    """
    if name in CLASSICS:
        return TalkingPlayer(name, CLASSICS[name])
    scripts = _scripts_of(game)
    if name not in scripts:
        near = suggest(name, [*scripts, *CLASSICS])
        raise ConfigError(f"the game {game!r} has no scripted player {name!r}{near}")
    return ScriptedPlayer(name, scripts[name])


def scripted_names(game: str) -> tuple[str, ...]:
    """Return the names of a game's scripts."""
    return tuple(_scripts_of(game))


def _scripts_of(game: str) -> Mapping[str, ScriptFactory]:
    return {"random": random_script, **SCRIPTS.get(game, {})}
