"""Candidates: the folder that a learner writes, and its copy in the folder of versions."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.errors import DataError
from telic.files import read_json
from telic.learners.result import LEARNED

__all__ = ["LearnedCandidate", "content_digest", "keep_artefacts", "resolve_changes"]

PROTECTED = ("name", "game", "limits", "probes", "serve")
"""Settings that no version may change: the gate measures by them."""
PATHS = ("path", "adapter", "reward_head")
"""Keys whose value is a path."""


class _Learned(BaseModel):
    """What a learner writes beside its artefacts."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    method: str = Field(min_length=1)
    purpose_changes: dict[str, Any]
    metrics: dict[str, Any] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class LearnedCandidate:
    """What a learner made."""

    folder: Path
    method: str
    changes: Mapping[str, Any]
    """Settings of the purpose file that it changes."""
    metrics: Mapping[str, Any]
    sources: tuple[str, ...]
    """Ids of the conversations that it was trained on."""

    @classmethod
    def read(cls, folder: str | Path) -> LearnedCandidate:
        """Read the folder of a candidate.

        Raises:
            DataError: it is no such folder, or it changes what the gate measures by.
        """
        path = Path(folder)
        if not (path / LEARNED).is_file():
            raise DataError(f"{str(path)!r} is not a candidate: it has no {LEARNED}; expected the folder of a learner")
        try:
            learned = _Learned.model_validate(read_json(path / LEARNED))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{str(path / LEARNED)!r}: {where}: {first['msg']}") from None
        if not learned.purpose_changes:
            raise DataError(f"{str(path / LEARNED)!r}: purpose_changes is empty, so the version would change nothing")
        for key in learned.purpose_changes:
            if key in PROTECTED:
                raise DataError(
                    f"{str(path / LEARNED)!r} changes {key!r}; a version may not, because the gate measures by it. "
                    "Change it in the purpose file"
                )
        if any("\n" in one or "\r" in one for one in learned.sources):
            raise DataError(f"{str(path / LEARNED)!r}: an id in sources has a line break")
        sources = tuple(dict.fromkeys(learned.sources))
        return cls(path, learned.method, learned.purpose_changes, learned.metrics, sources)


def keep_artefacts(candidate: LearnedCandidate, into: Path, prefix: str, near: Path) -> dict[str, Any]:
    """Copy the artefacts of a candidate, and return its changes with paths into the copy.

    Args:
        candidate: what a learner made.
        into: a new folder for the artefacts.
        prefix: what the paths begin with: the place of `into` in the folder of versions.
        near: folder of the purpose file. A path that is not in the candidate's folder may be here; it is copied too,
            so that the version is complete.

    Raises:
        DataError: a path leads nowhere, or to a link out of the folder.
    """
    for one in candidate.folder.rglob("*"):
        if one.is_symlink():
            raise DataError(f"{str(one)!r} is a link; a version holds plain files. Copy the file into the folder")
    shutil.copytree(candidate.folder, into)

    def place(value: str) -> str:
        if value.startswith("builtin:"):
            return value
        given, inside = Path(value), candidate.folder.resolve()
        for root in (candidate.folder, near, Path()):
            found = (root / given).resolve()
            if not found.exists():
                continue
            if found.is_relative_to(inside):
                return (Path(prefix) / found.relative_to(inside)).as_posix()
            copy = into / "copied" / found.name
            copy.parent.mkdir(exist_ok=True)
            (shutil.copytree if found.is_dir() else shutil.copy2)(found, copy)
            return f"{prefix}/copied/{found.name}"
        raise DataError(f"{str(candidate.folder / LEARNED)!r} names {value!r}, which does not exist")

    changed: dict[str, Any] = _with_paths(dict(candidate.changes), place)
    return changed


def resolve_changes(changes: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the changes of a version with absolute paths.

    Args:
        changes: as they are kept.
        folder: the folder of versions.
    """

    def place(value: str) -> str:
        found = (folder / value).resolve()
        return str(found) if found.exists() else value

    changed: dict[str, Any] = _with_paths(dict(changes), place)
    return changed


def content_digest(folder: Path) -> str:
    """Compute the SHA-256 of the names and contents of all files in a folder."""
    whole = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{own}\n".encode())
    return whole.hexdigest()


def _with_paths(value: Any, place: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _with_paths(item, place, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_paths(item, place, key) for item in value]
    return place(value) if key in PATHS and isinstance(value, str) and value else value
