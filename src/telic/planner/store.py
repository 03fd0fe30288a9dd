"""Tensors on disk: safetensors and JSON, never pickle; and the folder of a buffer that grows while episodes are played.

Every file is written beside its place and then moved there, so that a kill leaves whole files only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from telic.errors import ConfigError, DataError, RunError
from telic.planner.buffer import TENSORS, Transitions

__all__ = ["TransitionStore", "read_json", "read_tensors", "write_json", "write_tensors"]

FORMAT = 1
_ABOUT, _PART = "buffer.json", "part-{:06d}.safetensors"


class TransitionStore:
    """A folder of transitions: `buffer.json` says what they are of, each `part-*.safetensors` holds some episodes.

    One process writes at a time. What it appended is safe from then on; an interrupted collection goes on with the
    episodes that are not among `episodes`.

    Args:
        path: the folder; made with the first part.
        about: what the transitions come from (model, clone, noise), as plain data. A folder is only gone on with for
            the same. None to take it as it is.

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
                f"the buffer in {str(self.path)!r} comes from {found.get('about')}, not from {self.about}; take "
                "another folder, or the settings that it was made with"
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
        """Ids of the episodes that are there."""
        return frozenset(self._known)

    def append(self, transitions: Transitions) -> Path:
        """Add whole episodes.

        Returns:
            The file that holds them.

        Raises:
            DataError: one of the episodes is there already, or the sizes are other ones than before.
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
        """All transitions.

        Raises:
            DataError: there are none, or a file is damaged; the message names it.
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
    """Ids of a file's episodes, with the number of their transitions."""
    try:
        with safe_open(part, framework="pt") as file:
            return [(str(name), int(count)) for name, count in json.loads(file.metadata()["episodes"])]
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{str(part)!r} is no part of a buffer: {error}; delete it to go on without it") from None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors; all of the file is there, or none.

    Raises:
        RunError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write(path, save(plain, dict(metadata or {})))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors.

    Raises:
        DataError: there is no such file, or it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{str(path)!r} cannot be read as safetensors: {error}") from None


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file; all of it is there, or none.

    Raises:
        RunError: the file cannot be written.
    """
    _write(path, (json.dumps(document, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise DataError(f"{str(path)!r} holds {document!r}; expected an object")
    return document


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
