"""Run folders: what a command was asked to do, and what came of it, so that it can be resumed and replayed."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
import tomllib
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from telic.episodes import EpisodeStore
from telic.errors import ConfigError, RunError
from telic.files import write_atomically
from telic.toml_edit import dump, plain

if sys.platform != "win32":
    import fcntl

__all__ = ["RunFolder", "RunStart", "versions"]

_CONFIG, _METRICS, _LOCK = "config.toml", "metrics.jsonl", ".lock"


def versions() -> dict[str, str]:
    """Versions of what a run depends on; what is not installed is left out. Nothing is imported to find them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("telic", "numpy", "torch", "transformers", "openai"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run that is about to begin."""

    folder: Path | None
    """The run folder, if one is kept."""
    warnings: tuple[str, ...]
    """Warnings to show when a run is resumed."""
    total: int
    """What the progress bar counts, still to come: replies or episodes."""


class RunFolder:
    """`<verb>-<purpose>-<time>/`: `config.toml`, `episodes.jsonl`, `metrics.jsonl`, and the reports beside them.

    A folder that was created or resumed is locked: no other process writes into it until `close`, or until this
    process ends in whatever way. (The lock is advisory, and there is none on Windows.) A folder that was opened is
    for reading.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.episodes = EpisodeStore(path / "episodes.jsonl")
        """The episodes played so far."""
        self.warnings: list[str] = []
        """Warnings to show when a run is resumed: a line was cut short, versions changed."""
        self._unlock: weakref.finalize[[int], RunFolder] | None = None

    @classmethod
    def create(
        cls,
        root: str | Path,
        verb: str,
        name: str,
        config: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
    ) -> RunFolder:
        """Make a new run folder and lock it.

        Args:
            root: folder of all runs; made if need be.
            verb: the command.
            name: what it works on, normally the purpose's name.
            config: what defines the work. A run is only resumed with the same.
            settings: how it is done (batch size, device). A resumed run may change them.

        Raises:
            ConfigError: some value has no form in TOML.
            RunError: the folder cannot be made.
        """
        stamp = datetime.now().astimezone().replace(microsecond=0)
        document = {
            "verb": verb,
            "name": name,
            "started": stamp,
            "config": plain(config, "config"),
            "settings": plain(settings or {}, "settings"),
            "versions": versions(),
        }
        run = cls(_make(Path(root), f"{_slug(verb)}-{_slug(name)}-{stamp:%Y%m%d-%H%M%S}"))
        run._acquire()
        run._write_config(dump(document, depth=3))
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run folder for reading.

        Raises:
            RunError: there is no such folder, or it is not one of a run.
        """
        path = Path(path)
        if not path.is_dir():
            near = get_close_matches(path.name, [run.path.name for run in cls.list(path.parent)], n=1)
            hint = f"; did you mean {str(path.parent / near[0])!r}?" if near else ""
            what = "is not a folder" if path.exists() else "does not exist"
            raise RunError(f"run {str(path)!r} {what}{hint}")
        if not (path / _CONFIG).is_file():
            raise RunError(f"{str(path)!r} has no {_CONFIG}: it is not the folder of a run")
        return cls(path)

    @classmethod
    def resume(cls, path: str | Path, config: Mapping[str, Any]) -> RunFolder:
        """Open a run folder to go on with it: lock it, and repair what a kill has cut short.

        At most the episodes that were being played are lost: `done` lists those that need not be played again.

        Raises:
            ConfigError: the run was started with another configuration; the message lists every difference.
            RunError: it is not a run, or another process is writing into it.
        """
        run = cls.open(path)
        run._acquire()
        try:
            run._refuse_other(plain(config, "config"))
            cut_short = run.episodes.recover()
            run.warnings = [cut_short] if cut_short else []
            run._drop_partial_metrics()
            run._compare_versions()
        except BaseException:
            run.close()
            raise
        return run

    @staticmethod
    def list(root: str | Path) -> list[RunFolder]:
        """All runs below `root`, oldest first; none if there is no such folder."""
        root = Path(root)
        if not root.is_dir():
            return []
        found = [folder for folder in root.iterdir() if (folder / _CONFIG).is_file()]
        return [RunFolder(folder) for folder in sorted(found, key=_age)]

    @property
    def config(self) -> dict[str, Any]:
        """What defines the work, as given to `create`; None is left out."""
        return dict(self.document.get("config", {}))

    @property
    def document(self) -> dict[str, Any]:
        """All of `config.toml`: `verb`, `name`, `started`, `config`, `settings`, `versions`.

        Raises:
            RunError: the file cannot be read.
        """
        path = self.path / _CONFIG
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: {error}. The file was edited; this run cannot be read.") from None

    def done(self) -> set[str]:
        """Ids of the episodes that need not be played again.

        Raises:
            DataError: the store was damaged otherwise than by a kill.
        """
        if not self.episodes.path.exists():
            return set()
        return {episode.id for episode in self.episodes.latest() if not episode.worth_replaying}

    def metrics(self, record: Mapping[str, Any]) -> None:
        """Append a record to `metrics.jsonl`. Numbers that are not finite are written as null.

        Raises:
            RunError: the folder is open for reading only, or cannot be written.
        """
        if self._unlock is None:
            raise RunError(f"run {str(self.path)!r} is open for reading; create or resume a run to write")
        line = json.dumps(_jsonable(record), ensure_ascii=False, allow_nan=False)
        try:
            with (self.path / _METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"cannot write the metrics of run {str(self.path)!r}: {error.strerror}") from None

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """The records of `metrics.jsonl`; a last line cut short is left out."""
        path = self.path / _METRICS
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def close(self) -> None:
        """Let other processes write into the folder."""
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def _acquire(self) -> None:
        """Take the lock. The system drops it when its process dies, so a killed run leaves nothing to clean up."""
        try:
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunError(f"cannot write into run {str(self.path)!r}: {error.strerror}") from None
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.read(lock, 200).decode(errors="replace") or "another process"
                os.close(lock)
                raise RunError(f"run {str(self.path)!r} is being written by {holder}") from None
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {platform.node()}".encode())
        self._unlock = weakref.finalize(self, os.close, lock)

    def _write_config(self, text: str) -> None:
        try:
            write_atomically(self.path / _CONFIG, text)
        except OSError as error:
            self.close()
            raise RunError(f"cannot write into run {str(self.path)!r}: {error.strerror}") from None

    def _refuse_other(self, config: dict[str, Any]) -> None:
        old, new = _flat(self.config), _flat(config)
        unset = "not set"
        differing = [
            f"  {key}: the run has {_short(old.get(key, unset))}, asked for now {_short(new.get(key, unset))}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key, unset) != new.get(key, unset)
        ]
        if differing:
            listed = "\n".join(differing)
            raise ConfigError(
                f"run {str(self.path)!r} cannot be resumed with another configuration:\n{listed}\n"
                "Resume it with the one that it has, or start a new run."
            )

    def _drop_partial_metrics(self) -> None:
        path = self.path / _METRICS
        if path.exists():
            data = path.read_bytes()
            if not data.endswith(b"\n"):
                os.truncate(path, data.rfind(b"\n") + 1)

    def _compare_versions(self) -> None:
        before, now = self.document.get("versions", {}), versions()
        changed = [
            f"{package} was {before.get(package, 'not installed')}, is {now.get(package, 'not installed')}"
            for package in sorted(before.keys() | now.keys())
            if before.get(package) != now.get(package)
        ]
        if changed:
            self.warnings.append(f"resumed with other versions: {'; '.join(changed)}")
            self.metrics({"resumed": now})


def _make(root: Path, name: str) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return path
    except OSError as error:
        what = "it is a file" if root.is_file() else error.strerror
        raise RunError(f"cannot make a run folder in {str(root)!r}: {what}. Choose another folder.") from None


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-._").lower()[:60] or "run"


_TIME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?$")


def _age(path: Path) -> tuple[str, int, str]:
    found = _TIME.search(path.name)
    return (found[1], int(found[2] or 1), path.name) if found else ("", 0, path.name)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by dotted path; empty tables and lists are leaves."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{key}".removeprefix("."), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    if not items:
        return {path: value} if path else {}
    return {key: leaf for place, item in items for key, leaf in _flat(item, place).items()}


def _short(value: Any) -> str:
    text = value if value == "not set" else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (str, int)) or value is None:
        return value
    if hasattr(value, "tolist"):  # numpy and torch
        return _jsonable(value.tolist())
    return str(value)
