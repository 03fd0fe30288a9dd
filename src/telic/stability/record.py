"""The record of a run of dialogues: in its folder, or in memory where none is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from telic.episodes import Episode
from telic.runs import RunFolder

__all__ = ["PlannedEpisode", "RunRecord"]


class PlannedEpisode(Protocol):
    """What is still to be played."""

    @property
    def id(self) -> str:
        """Id of its episode."""
        ...


P = TypeVar("P", bound=PlannedEpisode)


class RunRecord:
    """Episodes and metrics of a run.

    Args:
        folder: the run folder, which is closed with the record; None keeps everything in memory.
    """

    def __init__(self, folder: RunFolder | None) -> None:
        self._folder = folder
        self._episodes: dict[str, Episode] = {}
        if folder is not None and folder.episodes.path.exists():
            self._episodes = {e.id: e for e in folder.episodes.latest() if not e.retryable}

    @classmethod
    def start(
        cls,
        verb: str,
        name: str,
        config: Callable[[], Mapping[str, Any]],
        settings: Mapping[str, Any],
        *,
        root: str | Path | None,
        resume: str | Path | None,
    ) -> RunRecord:
        """Resume a run folder, make a new one, or keep the run in memory.

        Args:
            verb: the command.
            name: what it works on.
            config: returns what defines the work; only called where a folder is kept.
            settings: how it is done.
            root: where a new folder is made.
            resume: the folder to go on with.

        Raises:
            ConfigError: the run to be resumed was started with another configuration.
            RunError: the folder cannot be made, or cannot be resumed.
        """
        if resume is not None:
            return cls(RunFolder.resume(resume, config()))
        return cls(None if root is None else RunFolder.create(root, verb, name, config(), settings))

    @property
    def path(self) -> Path | None:
        """The run folder, if one is kept."""
        return self._folder.path if self._folder else None

    @property
    def document(self) -> dict[str, Any]:
        """The run folder's `config.toml`."""
        return self._folder.document if self._folder else {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings to show when a run is resumed."""
        return tuple(self._folder.warnings) if self._folder else ()

    @property
    def episodes(self) -> list[Episode]:
        """The episodes so far, in the order of their ids."""
        return [self._episodes[name] for name in sorted(self._episodes)]

    def missing(self, plans: Iterable[P]) -> list[P]:
        """The dialogues that are still to be played."""
        return [plan for plan in plans if plan.id not in self._episodes]

    def append(self, episode: Episode) -> None:
        """Add an episode."""
        if self._folder is not None:
            self._folder.episodes.append(episode)
        self._episodes[episode.id] = episode

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics that a resumed run already has."""
        return list(self._folder.read_metrics()) if self._folder else []

    def add_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics into the folder."""
        if self._folder is not None:
            self._folder.append_metrics(metrics)

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.__exit__(kind, error, trace)
