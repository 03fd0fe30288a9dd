"""The tasks of a run: which episodes it plays, with which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from telic.agents.player import seed_of
from telic.errors import ConfigError
from telic.rollouts.record import Task

__all__ = ["GameSpec", "label_games", "plan_tasks"]

GameSpec = str | Mapping[str, Any]
"""The name of a game, or its table in a purpose file: `name`, and its settings."""
SEED_STRIDE = 2**20
"""Distance between the game seeds of two consecutive run seeds."""


def label_games(games: Sequence[GameSpec]) -> dict[str, Mapping[str, Any]]:
    """Return the tables of games by label: the name, with a number from the second game of that name on.

    Raises:
        ConfigError: a table has no name, or there is no game.
    """
    specs: dict[str, Mapping[str, Any]] = {}
    for game in games:
        spec = {"name": game} if isinstance(game, str) else dict(game)
        if "name" not in spec:
            raise ConfigError(f"a game without a name: {spec!r}; expected a table such as {{'name': 'elicitation'}}")
        same = sum(other["name"] == spec["name"] for other in specs.values())
        specs[f"{spec['name']}-{same + 1}" if same else spec["name"]] = spec
    if not specs:
        raise ConfigError("no game to play; name at least one")
    return specs


def plan_tasks(specs: Mapping[str, Mapping[str, Any]], n: int, seed: int, trials: int) -> list[Task]:
    """Return all tasks of all games, alternating between the games.

    The game seeds of a run are consecutive, because some games relate neighbouring seeds: the same values with the
    sides swapped, or one pair of characters after the other.

    Args:
        specs: tables of the games by label.
        n: tasks of each game.
        seed: seed of the run.
        trials: times that each task is played.
    """
    return [
        Task(
            id=f"{label}-{number:05d}-{trial}",
            game=label,
            spec=spec,
            number=number,
            trial=trial,
            seed=seed * SEED_STRIDE + number,
            player_seed=seed_of(seed, label, number, trial),
        )
        for number in range(n)
        for label, spec in specs.items()
        for trial in range(trials)
    ]
