"""The folder of a replay buffer, which grows while episodes are played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from telic.errors import ConfigError, DataError
from telic.files import read_json, read_tensors, tensor_metadata, write_json, write_tensors
from telic.planner.buffer import TENSORS, Transitions

__all__ = ["TransitionStore"]

FORMAT = 1
_ABOUT, _PART = "buffer.json", "part-{:06d}.safetensors"


class TransitionStore:
    """A folder of transitions: `buffer.json` describes their source, each `part-*.safetensors` holds some episodes.

    One process writes at a time. Episodes that were appended survive a kill; an interrupted collection continues with
    the episodes that are not in `episodes` yet.

    Args:
        path: the folder; made with the first part.
        about: the source of the transitions (model, clone, noise), as plain data. An existing folder must have the
            same source. None accepts any.

    Raises:
        ConfigError: the folder's transitions come from something else.
        DataError: the folder cannot be read as a buffer.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.about = json.loads(json.dumps(dict(about or {})))
        if not (self.path / _ABOUT).exists():
            return
        found = read_json(self.path / _ABOUT)
        if found.get("format") != FORMAT:
            raise DataError(f"{str(self.path)!r} is a buffer of format {found.get('format')!r}; expected {FORMAT}")
        if about is not None and found.get("about") != self.about:
            raise ConfigError(
                f"the buffer in {str(self.path)!r} comes from {found.get('about')}, not from {self.about}; choose "
                "another folder, or use the settings that it was made with"
            )
        self.about = found.get("about", {})

    @property
    def parts(self) -> list[Path]:
        """Files of transitions, in the order in which they were written."""
        return sorted(self.path.glob("part-*.safetensors"))

    @cached_property
    def _known(self) -> set[str]:
        return {name for part in self.parts for name, _ in _episodes(part)}

    @property
    def episodes(self) -> frozenset[str]:
        """Ids of the episodes in the folder."""
        return frozenset(self._known)

    def append(self, transitions: Transitions) -> Path:
        """Add whole episodes.

        Returns:
            The file that holds them.

        Raises:
            DataError: the folder has one of the episodes already, or transitions of other sizes.
            RunError: the file cannot be written.
        """
        again = self._known.intersection(transitions.episodes)
        if again:
            raise DataError(f"episode {min(again)!r} is in the buffer {str(self.path)!r} already")
        sizes = list(transitions.sizes)
        about = self.path / _ABOUT
        if not about.exists():
            write_json(about, {"format": FORMAT, "state_and_action": sizes, "about": self.about})
        elif (there := read_json(about).get("state_and_action")) != sizes:
            raise DataError(f"states and actions have the sizes {sizes}; those in {str(self.path)!r} have {there}")
        taken = self.parts
        number = int(taken[-1].stem.removeprefix("part-")) + 1 if taken else 0
        part = self.path / _PART.format(number)
        runs = [[name, len(list(run))] for name, run in groupby(transitions.episodes)]
        tensors = {name: getattr(transitions, name) for name in TENSORS}
        write_tensors(part, tensors, {"episodes": json.dumps(runs)})
        self._known.update(transitions.episodes)
        return part

    def load(self) -> Transitions:
        """Read all transitions.

        Raises:
            DataError: the folder has none, or a file is damaged; the message names it.
        """
        if not self.parts:
            raise DataError(f"there are no transitions in {str(self.path)!r}")
        return Transitions.concat([self._read(part) for part in self.parts])

    def _read(self, part: Path) -> Transitions:
        names = [name for name, count in _episodes(part) for _ in range(count)]
        tensors = read_tensors(part)
        if set(tensors) != set(TENSORS):
            raise DataError(f"{str(part)!r} holds {sorted(tensors)}; expected the tensors {sorted(TENSORS)}")
        return Transitions(**tensors, episodes=tuple(names))


def _episodes(part: Path) -> list[tuple[str, int]]:
    """List the ids of a file's episodes, with the number of their transitions."""
    try:
        return [(str(name), int(count)) for name, count in json.loads(tensor_metadata(part)["episodes"])]
    except (DataError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{str(part)!r} is not a part of a buffer: {error}; delete it to go on without it") from None
