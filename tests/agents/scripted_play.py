"""Plays games with scripts alone, without the rollouts."""

from __future__ import annotations

from collections.abc import Mapping

from telic.agents.scripted.players import Script
from telic.games.base import Game, Outcome

__all__ = ["play_scripts"]


def play_scripts(game: Game, seed: int, scripts: Script | Mapping[str, Script]) -> Outcome:
    """Play an episode with one script for all roles, or with a script for each role that has a turn."""
    game.reset(seed)
    while (role := game.turn) is not None:
        script = scripts[role] if isinstance(scripts, Mapping) else scripts
        game.step(role, script(game, role))
    return game.outcome()
