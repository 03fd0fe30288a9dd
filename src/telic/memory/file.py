"""A memory in a file on this machine: the evidence log of one user, an event per line of JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from telic.errors import DataError, RunError
from telic.files import atomic_draft
from telic.memory.events import MemoryEvent, parse_event
from telic.memory.memory import ForgetPlan
from telic.run_lock import wait_for_lock

__all__ = ["MemoryFile"]

PATIENCE = 10.0
"""Seconds to wait for another process that writes to the file."""


class MemoryFile:
    """The log of one user in a file that only its owner can read. Several processes may use it at once.

    Args:
        path: the file; it is made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_user(cls, folder: Path, purpose: str, user: str) -> MemoryFile:
        """Return the file of a user of a purpose in a folder. Any name is allowed, and no two share a file.

        Raises:
            DataError: the name is empty.
        """
        if not user.strip():
            raise DataError(f"the user is {user!r}; expected a name")
        digest = hashlib.sha256(f"{purpose}\0{user}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
        slug = "-".join(
            filter(None, (re.sub(r"[^a-zA-Z0-9_.]+", "-", name).strip("-._").lower()[:40] for name in (purpose, user)))
        )
        return cls(folder / f"{slug or 'user'}-{digest}.jsonl")

    def read(self) -> list[MemoryEvent]:
        """Read the log; none if there is no file. A last line that a crash cut off is left out.

        Raises:
            DataError: a line is no event; the message names it.
            RunError: the file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"cannot read the memory {str(self.path)!r}: {error.strerror}") from None
        try:
            lines = data[: data.rfind(b"\n") + 1].decode().split("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: not UTF-8: {error.reason} at byte {error.start}") from None
        found: dict[str, MemoryEvent] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip():
                event = parse_event(line, f"{self.path}, line {number}")
                found.setdefault(event.id, event)
        return list(found.values())

    @property
    def version(self) -> tuple[int, ...] | None:
        """What changes with the content of the file; None if there is no file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def append(self, events: Iterable[MemoryEvent]) -> None:
        """Add events; they are on disk when this returns.

        Raises:
            RunError: the file cannot be written.
        """
        data = "".join(_line(event) for event in events).encode()
        with self._locked():
            cut = self._cut_off_line()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if cut:
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - cut)
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def forget(self, plan: ForgetPlan, tombstone: MemoryEvent) -> None:
        """Write the file anew, without the texts that a plan removes, and with the tombstone.

        Raises:
            DataError: the file is damaged.
            RunError: the file cannot be written.
        """
        named = set(plan.events)
        with self._locked():
            kept = [
                event.without_text() if event.id in named
                else replace(event, text=plan.rewritten.get(event.id, event.text))
                for event in ([] if plan.everything else self.read())
            ]  # fmt: skip
            with atomic_draft(self.path) as draft:
                draft.touch(0o600)
                draft.write_text("".join(map(_line, [*kept, tombstone])), encoding="utf-8")

    def _cut_off_line(self) -> int:
        """Return the length of a last line without its end, in bytes."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        return len(data) - (data.rfind(b"\n") + 1)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file's lock; other errors of the system become errors of Telic."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = wait_for_lock(self.path.with_name(f".{self.path.name}.lock"), PATIENCE)
            try:
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise RunError(f"cannot write the memory {str(self.path)!r}: {error.strerror or error}") from None


def _line(event: MemoryEvent) -> str:
    return json.dumps(event.as_dict(), ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"
