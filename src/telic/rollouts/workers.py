"""What `play` and `attack` expect of workers, which play tasks in other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from telic.agents.player import Player
from telic.episodes import Episode

__all__ = ["PlayerFactory", "TaskRunner", "WorkerTask", "Workers"]


class WorkerTask(Protocol):
    """A task that workers play. It can be pickled."""

    @property
    def id(self) -> str:
        """Id of its episode."""
        ...


TaskRunner = Callable[[Iterable[Any], int, Callable[[Episode], None]], None]
"""Plays tasks in the process that made it. It takes the tasks one by one, plays as many at once as the number says, and
calls the function with each episode as it ends."""


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
        tasks: Sequence[WorkerTask],
        make: Callable[[], TaskRunner],
        concurrency: int,
        on_episode: Callable[[Episode], None],
    ) -> None:
        """Play tasks, each once.

        Args:
            tasks: the episodes to play.
            make: makes what plays them; called in each worker, so it can be pickled.
            concurrency: episodes played at once in each worker.
            on_episode: called with each episode as it ends, in the calling thread.
        """
        ...
