"""What `play` expects of workers, which play tasks in other processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from telic.agents.player import Player
from telic.episodes import Episode
from telic.models import Model
from telic.rollouts.record import Task

__all__ = ["PlayerFactory", "Workers"]


@dataclass(frozen=True)
class PlayerFactory:
    """A factory of players, which makes them in the process that plays: this one, or that of a worker."""

    make: Callable[[], Mapping[str, Player]]
    """Returns the players by role, as `play` takes them. Workers require that it can be pickled."""
    spec: Mapping[str, Any]
    """The settings of the players as plain data."""


class Workers(Protocol):
    """Processes that play tasks, on this machine or on others."""

    def play(
        self,
        tasks: Sequence[Task],
        make: Callable[[], Mapping[str, Player]],
        judge: Model | str | None,
        concurrency: int,
        on_episode: Callable[[Episode], None],
    ) -> None:
        """Play tasks, each once.

        Args:
            tasks: the episodes to play.
            make: returns the players by role; called in each worker.
            judge: name of the model that scores games with a judge. Workers may refuse a model itself.
            concurrency: episodes played at once in each worker.
            on_episode: called with each episode as it ends, in the calling thread.
        """
        ...
