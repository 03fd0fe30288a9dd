"""Run folders: a command's configuration and its results, so that the run can be resumed and replayed."""

from __future__ import annotations

import json
import os
import platform
import re
import tomllib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from telic.episodes import EpisodeStore
from telic.errors import ConfigError, RunError
from telic.files import to_json_types, write_atomically
from telic.run_lock import HeldLockError, acquire_lock, is_locked
from telic.toml_edit import dump, to_toml_types

__all__ = ["COMMAND_ARGUMENTS", "RunFolder", "versions"]

COMMAND_ARGUMENTS: ContextVar[Sequence[str]] = ContextVar("COMMAND_ARGUMENTS")
"""Arguments of the command that is running; not set in Python. A new run folder records them, so that `--resume FOLDER`
is enough to continue the run."""

_CONFIG, _METRICS, _LOCK = "config.toml", "metrics.jsonl", ".lock"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that runs depend on, without importing them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("telic", "numpy", "torch", "transformers", "openai"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


class RunFolder:
    """`<verb>-<purpose>-<time>/`: `config.toml`, `episodes.jsonl`, `metrics.jsonl`, and the reports beside them.

    `create` and `resume` lock the folder: no other process can write into it until `close`, or until this process ends.
    (The lock is advisory, and there is none on Windows.) `open` is for reading only.
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
            root: folder of all runs; it is created if it does not exist.
            verb: the command.
            name: what the run works on, normally the purpose's name.
            config: what defines the results. A run can be resumed only with the same configuration.
            settings: what does not change the results (batch size, device). A resumed run may change them.

        Raises:
            ConfigError: TOML has no type for some value.
            RunError: the folder cannot be created.
        """
        stamp = datetime.now().astimezone().replace(microsecond=0)
        arguments = COMMAND_ARGUMENTS.get(None)
        document = {
            "verb": verb,
            "name": name,
            "started": stamp,
            **({} if arguments is None else {"arguments": list(arguments)}),
            "config": to_toml_types(config, "config"),
            "settings": to_toml_types(settings or {}, "settings"),
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
            RunError: there is no such folder, or it is not a run folder.
        """
        path = Path(path)
        if not path.is_dir():
            near = get_close_matches(path.name, [run.path.name for run in cls.list(path.parent)], n=1)
            hint = f"; did you mean {str(path.parent / near[0])!r}?" if near else ""
            what = "is not a folder" if path.exists() else "does not exist"
            raise RunError(f"run {str(path)!r} {what}{hint}")
        if not (path / _CONFIG).is_file():
            raise RunError(f"{str(path)!r} is not a run folder: it has no {_CONFIG}")
        return cls(path)

    @classmethod
    def resume(cls, path: str | Path, config: Mapping[str, Any]) -> RunFolder:
        """Open a run folder to continue the run: lock it, and repair files that a kill has cut short.

        A kill loses only the episodes that were being played. `done` lists those that need not be played again.

        Raises:
            ConfigError: the run has another configuration; the message lists every difference.
            RunError: it is not a run folder, or another process is writing into it.
        """
        run = cls.open(path)
        run._acquire()
        try:
            run._refuse_other(to_toml_types(config, "config"))
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
        """Return all runs in `root`, oldest first; none if there is no such folder."""
        root = Path(root)
        if not root.is_dir():
            return []
        found = [folder for folder in root.iterdir() if (folder / _CONFIG).is_file()]
        return [RunFolder(folder) for folder in sorted(found, key=_age)]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as `create` got it, without values that are None."""
        return dict(self.document.get("config", {}))

    @property
    def document(self) -> dict[str, Any]:
        """The content of `config.toml`: `verb`, `name`, `started`, `config`, `settings`, `versions`.

        A run that a command has started has its `arguments` too.

        Raises:
            RunError: the file cannot be read.
        """
        path = self.path / _CONFIG
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: {error}. The file was edited by hand, so the run cannot be read.") from None

    @property
    def is_locked(self) -> bool:
        """Whether a process is writing into the folder."""
        return self._unlock is not None or is_locked(self.path / _LOCK)

    def done(self) -> set[str]:
        """Return the ids of the episodes that need not be played again.

        Raises:
            DataError: the store is damaged, and not only by a kill.
        """
        if not self.episodes.path.exists():
            return set()
        return {episode.id for episode in self.episodes.latest() if not episode.retryable}

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append a record to `metrics.jsonl`. NaN and infinite numbers are written as null.

        Raises:
            RunError: the folder is open for reading only, or cannot be written.
        """
        if self._unlock is None:
            raise RunError(f"run {str(self.path)!r} is open for reading; create or resume a run to write")
        line = json.dumps(to_json_types(record), ensure_ascii=False, allow_nan=False)
        try:
            with (self.path / _METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"cannot write the metrics of run {str(self.path)!r}: {error.strerror}") from None

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the records of `metrics.jsonl`, without a last line that was cut short."""
        path = self.path / _METRICS
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def close(self) -> None:
        """Release the lock, so that other processes can write into the folder."""
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the folder; what ended the run, if it was not the user, is recorded as `failed` in the metrics."""
        if isinstance(error, Exception) and self._unlock is not None:
            with suppress(RunError):  # the disk may be full
                self.append_metrics({"failed": str(error) or type(error).__name__})
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def _acquire(self) -> None:
        """Take the lock."""
        try:
            lock = acquire_lock(self.path / _LOCK)
        except HeldLockError as error:
            raise RunError(f"run {str(self.path)!r} is being written by {error}") from None
        except OSError as error:
            raise RunError(f"cannot write into run {str(self.path)!r}: {error.strerror}") from None
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
            f"  {key}: the run has {_short(old.get(key, unset))}, this command {_short(new.get(key, unset))}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key, unset) != new.get(key, unset)
        ]
        if differing:
            listed = "\n".join(differing)
            raise ConfigError(
                f"run {str(self.path)!r} cannot be resumed with another configuration:\n{listed}\n"
                "Resume it with the same configuration, or start a new run."
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
            self.append_metrics({"resumed": now})


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
        raise RunError(f"cannot create a run folder in {str(root)!r}: {what}. Choose another folder.") from None


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-._").lower()[:60] or "run"


_TIME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?$")


def _age(path: Path) -> tuple[str, int, int, str]:
    """The order of runs: by the second in their name, and within it by their number and by when they were made."""
    found = _TIME.search(path.name)
    made = (path / _CONFIG).stat().st_mtime_ns
    return (found[1], int(found[2] or 1), made, path.name) if found else ("", 0, made, path.name)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves by dotted path. Empty tables and lists are leaves."""
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
