"""The lock of a run folder: one process writes into it at a time.

The system releases the lock when the process ends, so that a killed run leaves no stale lock. It is advisory, and there
is none on Windows.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["HeldLockError", "acquire_lock", "is_locked", "wait_for_lock"]

PAUSE = 0.02
"""Seconds between two tries."""


class HeldLockError(OSError):
    """Another process holds the lock; `args` says which."""


def acquire_lock(path: Path) -> int:
    """Lock a file, which is created if it does not exist.

    Returns:
        The descriptor of the file; closing it releases the lock.

    Raises:
        HeldLockError: another process holds the lock.
        OSError: the file cannot be written.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if not _lock_exclusively(lock):
        holder = os.read(lock, 200).decode(errors="replace") or "another process"
        os.close(lock)
        raise HeldLockError(holder)
    os.truncate(lock, 0)
    os.write(lock, f"process {os.getpid()} on {platform.node()}".encode())
    return lock


def wait_for_lock(path: Path, seconds: float) -> int:
    """Lock a file as `acquire_lock` does, but wait for another process that holds the lock for a moment.

    Raises:
        HeldLockError: another process held the lock for all of `seconds`.
        OSError: the file cannot be written.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return acquire_lock(path)
        except HeldLockError:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock."""
    if sys.platform == "win32":
        return False
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_exclusively(lock: int) -> bool:
    if sys.platform == "win32":
        return True
    for attempt in range(3):
        if attempt:
            time.sleep(0.02)  # `is_locked` of another process holds it for a moment
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
