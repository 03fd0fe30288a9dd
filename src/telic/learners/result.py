"""What a learner leaves: a folder with its artefacts and `learned.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telic.episodes import Episode
from telic.errors import DataError, RunError, TelicError
from telic.files import read_json, write_json

__all__ = ["LEARNED", "Learned", "NotedEpisodes"]

LEARNED = "learned.json"
"""File in the folder of what was learnt, which says from what and how."""


@dataclass(frozen=True)
class Learned:
    """What was learnt, and the changes of a purpose file that would use it."""

    method: str
    """Which learner made it, such as `kto`."""
    purpose_changes: Mapping[str, Any]
    """New values by top-level key of the purpose file; empty if nothing better was found."""
    folder: Path
    """Where its artefacts are."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures on what was held out."""
    sources: tuple[str, ...] = ()
    """Ids of the conversations that it was learnt from."""

    def save(self) -> Path:
        """Write `learned.json` into the folder; returns its path.

        Raises:
            RunError: the file cannot be written.
        """
        path = self.folder / LEARNED
        document = {
            "method": self.method,
            "purpose_changes": dict(self.purpose_changes),
            "folder": str(self.folder),
            "metrics": dict(self.metrics),
            "sources": list(self.sources),
        }
        try:
            write_json(path, document)
        except OSError as error:
            raise RunError(f"cannot write {str(path)!r}: {error.strerror}") from None
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Learned:
        """Read what a learner left in a folder.

        Raises:
            DataError: the folder has no `learned.json`, or it cannot be read.
        """
        path = Path(folder) / LEARNED
        if not path.is_file():
            raise DataError(
                f"there is no {LEARNED} in {str(folder)!r}; make one with: telic learn PURPOSE --method ..."
            )
        try:
            found = read_json(path)
            return cls(
                str(found["method"]),
                dict(found["purpose_changes"]),
                Path(folder),
                dict(found["metrics"]),
                tuple(found["sources"]),
            )
        except (TelicError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{str(path)!r} cannot be read: {error}") from None


class NotedEpisodes:
    """Episodes that can be read several times, with a note of which were.

    Args:
        episodes: can be read several times.
    """

    def __init__(self, episodes: Iterable[Episode]) -> None:
        self._episodes = episodes
        self._ids: dict[str, None] = {}

    def __iter__(self) -> Iterator[Episode]:
        for episode in self._episodes:
            self._ids[episode.id] = None
            yield episode

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the episodes that were read."""
        return tuple(self._ids)
