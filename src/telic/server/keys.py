"""API keys. A file holds their hashes only; a server notices when it changes.

A key has 32 random bytes, so it cannot be recovered from a plain SHA-256 hash.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from telic.errors import ConfigError
from telic.files import atomic_draft
from telic.server.log import log_event

__all__ = ["ENVIRONMENT", "Keys", "add_key", "key_names", "revoke_key"]

ENVIRONMENT = "TELIC_API_KEY"
"""Environment variable with a single key."""
ENVIRONMENT_HOLDER = "default"
"""Name of the holder of the key in the environment."""
MIN_LENGTH = 16
"""Fewest characters of a key in the environment."""
RESERVED = ("list", "revoke")
"""Names that mean something else to `telic keys`."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})")


class Keys:
    """The API keys of a server.

    Args:
        digests: SHA-256 of each key, by name of its holder.
    """

    def __init__(self, digests: Mapping[str, bytes] | None = None) -> None:
        self._fixed = dict(digests or {})
        self._digests = self._fixed
        self._file: Path | None = None
        self._version: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        """Whether requests need a key. It stays so when the last key of a file is revoked."""
        return bool(self._fixed) or self._file is not None

    @classmethod
    def load(cls, path: Path | None) -> Keys:
        """Load the keys of a file, with a line `name sha256:...` for each, and the key of the environment.

        The file is read again whenever it has changed.

        Raises:
            ConfigError: the file cannot be read, has no keys or an invalid line; the key in the environment is too
                short, or the file has a key of the same name.
        """
        keys, own = cls(), os.environ.get(ENVIRONMENT)
        if own is not None:
            if len(own) < MIN_LENGTH:
                raise ConfigError(f"the key in {ENVIRONMENT} is too short; expected at least {MIN_LENGTH} characters")
            keys._digests = keys._fixed = {ENVIRONMENT_HOLDER: _digest(own)}
        if path is not None:
            version = _version(path)
            digests = keys._with_file(path)
            if len(digests) == len(keys._fixed):
                raise ConfigError(f"{path} contains no keys. Add one with: telic keys NAME --file {path}")
            keys._digests, keys._file, keys._version = digests, path, version
        return keys

    def holder(self, key: str) -> str | None:
        """Return the name of a key's holder; None for an unknown key."""
        self._reload()
        presented, found = _digest(key), None
        for name, digest in self._digests.items():  # always all of them, so that the time reveals nothing
            if hmac.compare_digest(presented, digest):
                found = name
        return found

    def digest(self, holder: str) -> bytes | None:
        """Return the SHA-256 of a holder's key, by which one notices that it was revoked; None if there is none."""
        self._reload()
        return self._digests.get(holder)

    def _reload(self) -> None:
        """Read the file again if it has changed. One that cannot be read changes nothing; the log says so."""
        if self._file is None or (version := _version(self._file)) == self._version:
            return
        self._version = version
        try:
            self._digests = self._with_file(self._file)
        except ConfigError as error:
            log_event(logging.ERROR, "keys_failed", cause=f"{error}. The keys stay as they were")
        else:
            log_event(logging.INFO, "keys_loaded", file=self._file, names=",".join(sorted(self._digests)))

    def _with_file(self, path: Path) -> dict[str, bytes]:
        """Add the keys of a file to that of the environment."""
        digests = _read(path)
        if taken := digests.keys() & self._fixed.keys():
            name = taken.pop()
            raise ConfigError(
                f"{path} has a key named {name!r}, which is also the name of the key in {ENVIRONMENT}; remove one of "
                f"them: unset {ENVIRONMENT}, or telic keys revoke {name} --file {path}"
            )
        return {**self._fixed, **digests}


def add_key(path: Path, name: str) -> str:
    """Make a key, append its hash to a file that only its owner can read, and return the key.

    Raises:
        ConfigError: the name is invalid or taken; the file is damaged or cannot be written.
    """
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(
            f"invalid key name {name!r}; expected up to 64 letters, digits, '_', '.' and '-', other than "
            f"{' and '.join(map(repr, RESERVED))}"
        )
    if path.exists() and name in _read(path):
        raise ConfigError(
            f"{path} already has a key named {name!r}; revoke it first: telic keys revoke {name} --file {path}"
        )
    key = f"telic-{secrets.token_urlsafe(32)}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a+b") as file:
            file.write(f"{_missing_newline(file)}{name} sha256:{_digest(key).hex()}\n".encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return key


def key_names(path: Path) -> list[str]:
    """List the holders of the keys in a file.

    Raises:
        ConfigError: the file is damaged or cannot be read.
    """
    return list(_read(path))


def revoke_key(path: Path, name: str) -> None:
    """Remove a key from a file; a server that uses the file refuses it from then on.

    Raises:
        ConfigError: there is no such key; the file is damaged or cannot be written.
    """
    names = key_names(path)
    if name not in names:
        raise ConfigError(f"{path} has no key named {name!r}; it has: {', '.join(names) or 'none'}")
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if (match := _LINE.fullmatch(line.strip())) is None or match[1] != name]
    try:
        with atomic_draft(path) as draft:
            draft.touch(0o600)
            draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def _missing_newline(file: BinaryIO) -> str:
    """Return a newline if the last line of a file has none."""
    if not file.seek(0, os.SEEK_END):
        return ""
    file.seek(-1, os.SEEK_END)
    return "" if file.read(1) == b"\n" else "\n"


def _version(path: Path) -> tuple[int, ...] | None:
    """Return what changes with the content of a file; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        hint = f". Make a key with: telic keys NAME --file {path}" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}{hint}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the key file {path}: {error}") from None
    digests = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:  # the line is not quoted: it may contain a key
            raise ConfigError(f"{path}, line {number}: expected `name sha256:...`, as `telic keys NAME` writes it")
        digests[match[1]] = bytes.fromhex(match[2])
    return digests


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
