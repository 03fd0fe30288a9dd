"""Temporary folders with a lock, which the system releases when the process ends.

So the folders of killed processes are told apart from those in use, and can be removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from telic.run_lock import acquire_lock, is_locked

__all__ = ["PREFIX", "LockedFolder", "is_stale", "remove_stale_folders"]

OPENING, PREFIX = "telic-opening-", "telic-workspace-"
LOCK = ".lock"


class LockedFolder:
    """A temporary folder that belongs to this process."""

    def __init__(self) -> None:
        opened = Path(tempfile.mkdtemp(prefix=OPENING)).resolve()
        self._lock: int | None = acquire_lock(opened / LOCK)
        # It gets its name once it is locked. Until then another process would take it for one that was left behind.
        self.path = opened.rename(opened.with_name(opened.name.replace(OPENING, PREFIX, 1)))

    @property
    def is_open(self) -> bool:
        """Whether the folder still exists."""
        return self._lock is not None

    def close(self) -> None:
        """Delete the folder."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)
        self._lock = None


def is_stale(folder: Path) -> bool:
    """Return whether a folder was left by a process of this user that has ended."""
    lock = folder / LOCK
    try:
        ours = os.name == "nt" or lock.stat().st_uid == os.getuid()
    except OSError:  # another user's, or removed in the meantime
        return False
    return ours and not is_locked(lock)


def remove_stale_folders() -> None:
    """Delete the folders that killed processes left."""
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        if is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)
