"""API keys. A file holds their hashes only.

A key has 32 random bytes, so it cannot be recovered from a plain SHA-256 hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from telic.errors import ConfigError

__all__ = ["ENVIRONMENT", "Keys", "add_key"]

ENVIRONMENT = "TELIC_API_KEY"
"""Environment variable with a single key."""
MIN_LENGTH = 16
"""Fewest characters of a key in the environment."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})")


class Keys:
    """The API keys of a server.

    Args:
        digests: SHA-256 of each key, by name of its holder.
    """

    def __init__(self, digests: Mapping[str, bytes] | None = None) -> None:
        self._digests = dict(digests or {})

    def __bool__(self) -> bool:
        return bool(self._digests)

    @classmethod
    def load(cls, path: Path | None) -> Keys:
        """Load the keys of a file, with a line `name sha256:...` for each, and the key of the environment.

        Raises:
            ConfigError: the file cannot be read, has no keys or an invalid line; the key in the environment is too
                short.
        """
        digests = _read(path) if path is not None else {}
        if path is not None and not digests:
            raise ConfigError(f"{path} contains no keys. Add one with: telic keys NAME --file {path}")
        own = os.environ.get(ENVIRONMENT)
        if own is not None:
            if len(own) < MIN_LENGTH:
                raise ConfigError(f"the key in {ENVIRONMENT} is too short; expected at least {MIN_LENGTH} characters")
            digests["default"] = _digest(own)
        return cls(digests)

    def holder(self, key: str) -> str | None:
        """Return the name of a key's holder; None for an unknown key."""
        presented, found = _digest(key), None
        for name, digest in self._digests.items():  # always all of them, so that the time reveals nothing
            if hmac.compare_digest(presented, digest):
                found = name
        return found


def add_key(path: Path, name: str) -> str:
    """Make a key, append its hash to a file that only its owner can read, and return the key.

    Raises:
        ConfigError: the name is invalid or taken; the file is damaged or cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"invalid key name {name!r}; expected up to 64 letters, digits, '_', '.' and '-'")
    if path.exists() and name in _read(path):
        raise ConfigError(f"{path} already has a key of {name!r}; remove its line first")
    key = f"telic-{secrets.token_urlsafe(32)}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(f"{name} sha256:{_digest(key).hex()}\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return key


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from None
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
