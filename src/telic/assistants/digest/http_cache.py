"""Answers of servers, kept so that an unchanged page is not sent again (RFC 9111: ETag, Last-Modified, max-age)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from telic.files import write_atomically

__all__ = ["CachedAnswer", "HttpCache"]

LONGEST_FRESH = 86_400.0
"""Seconds for which an answer is at most taken without asking the server."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer, and what a server needs to say that it did not change."""

    url: str
    """Where it came from after all redirects."""
    content_type: str
    etag: str
    last_modified: str
    fresh_until: float
    """Seconds since 1970 until which the server need not be asked."""
    body: bytes = b""

    @property
    def validators(self) -> dict[str, str]:
        """The headers that ask for the page only if it changed."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in found.items() if value}


class HttpCache:
    """A folder of answers, a file each: a line of JSON, then the body. Several processes may use it.

    Args:
        folder: made with the first answer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, url: str) -> CachedAnswer | None:
        """Return the answer to an address; None if there is none, or its file is damaged."""
        try:
            head, _, body = self._path(url).read_bytes().partition(b"\n")
            return CachedAnswer(**json.loads(head), body=body)
        except (OSError, ValueError, TypeError):
            return None

    def put(self, asked: str, answer: CachedAnswer) -> None:
        """Keep an answer. A full disk is no reason to lose what was read: then it is not kept."""
        head = {name: value for name, value in asdict(answer).items() if name != "body"}
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the feeds of a user tell much
            write_atomically(self._path(asked), json.dumps(head).encode() + b"\n" + answer.body)

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.http"


def fresh_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long an answer may be used without asking; None if it must not be kept."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control:
        return None
    found = re.search(r"max-age=(\d{1,9})", control)
    return 0.0 if found is None or "no-cache" in control else min(float(found[1]), LONGEST_FRESH)
