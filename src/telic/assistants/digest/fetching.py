"""Reading pages and files with limits: size, time, redirects, and what robots.txt allows."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies
from urllib.robotparser import RobotFileParser

import httpx

from telic.assistants.digest.addresses import is_public, refuse_private_host
from telic.assistants.digest.http_cache import CachedAnswer, HttpCache, fresh_seconds
from telic.errors import DataError

__all__ = ["AGENT", "Fetched", "Fetcher"]

AGENT = "Telic-digest/0.1"
MOST_REDIRECTS = 5
ROBOTS_BYTES = 512_000
"""Bytes of a robots.txt that are read (RFC 9309 asks for at least 500 KiB)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # reading the certificates takes longer than many a page


@dataclass(frozen=True, slots=True)
class Fetched:
    """What stands at an address."""

    url: str
    """Where it was found, after all redirects; empty for a file."""
    content_type: str
    """The header of that name; empty for a file."""
    body: bytes


class Fetcher:
    """Reads pages and files for one digest.

    Args:
        cache: the folder of answers.
        folder: what paths are relative to.
        timeout: seconds for one page, all redirects and the body included.
        max_bytes: most bytes of a page or file, unpacked.
    """

    def __init__(self, cache: Path, folder: Path, *, timeout: float, max_bytes: int) -> None:
        self._cache, self._folder = HttpCache(cache), folder
        self._timeout, self._max_bytes = timeout, max_bytes
        self._peers_are_known = not getproxies()

    def read(self, location: str, *, ask_robots: bool = False) -> Fetched:
        """Read an address of the web, or a file.

        Args:
            location: what the user wrote: http(s), or a path relative to the purpose file.
            ask_robots: whether the host's robots.txt may forbid it.

        Raises:
            DataError: it cannot be read; the message says why.
        """
        try:
            scheme = urlsplit(location).scheme.lower()
        except ValueError as error:
            raise DataError(f"{location!r} is not an address: {error}") from None
        if scheme in ("http", "https"):
            return self._get(location, ask_robots=ask_robots)
        if "://" in location:
            raise DataError(f"{location!r} has a scheme that cannot be read; expected http, https or a path")
        return Fetched("", "", self.file(location))

    def file(self, path: str | Path) -> bytes:
        """Read a file, relative to the folder of the purpose file.

        Raises:
            DataError: it cannot be read, or is too large.
        """
        found = self.path(path)
        try:
            with found.open("rb") as file:
                body = file.read(self._max_bytes + 1)
        except OSError as error:
            raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
        return self._within_limit(body)

    def path(self, path: str | Path) -> Path:
        """Return a path of the user's, relative to the folder of the purpose file."""
        return self._folder / Path(path).expanduser()

    def _get(self, asked: str, *, ask_robots: bool) -> Fetched:
        known = self._cache.get(asked)
        if known is not None and time.time() < known.fresh_until:
            return Fetched(known.url, known.content_type, known.body)
        deadline = time.monotonic() + self._timeout
        trusted = urlsplit(asked).hostname or ""
        url = asked
        with httpx.Client(
            headers={"User-Agent": AGENT}, timeout=min(self._timeout, 15.0), verify=_certificates()
        ) as client:
            try:
                for _ in range(MOST_REDIRECTS + 1):
                    self._check_host(url, trusted)
                    if ask_robots:
                        self._ask_robots(client, url, trusted, deadline)
                    answer, following = self._answer(client, url, trusted, deadline, known if url == asked else None)
                    if answer is not None:
                        self._keep(asked, answer)
                        return Fetched(answer.url, answer.content_type, answer.body)
                    url = following
            except httpx.TimeoutException:
                raise DataError(f"no answer from {url!r} within {self._timeout:g} seconds") from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DataError(f"cannot read {url!r}: {error or type(error).__name__}") from None
        raise DataError(f"{asked!r} redirects more than {MOST_REDIRECTS} times")

    def _answer(
        self, client: httpx.Client, url: str, trusted: str, deadline: float, known: CachedAnswer | None
    ) -> tuple[CachedAnswer | None, str]:
        """Ask for a page; returns its answer, or None and the address that it redirects to."""
        with client.stream("GET", url, headers=known.validators if known else {}) as response:
            self._check_peer(response, trusted)
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return None, _redirected(url, response.headers["location"])
            fresh = fresh_seconds(response.headers)
            until = time.time() + (fresh or 0.0) if fresh is not None else -1.0
            if response.status_code == HTTPStatus.NOT_MODIFIED and known is not None:
                return CachedAnswer(
                    known.url, known.content_type, known.etag, known.last_modified, until, known.body
                ), ""
            if response.status_code != HTTPStatus.OK:
                reason = response.reason_phrase or "no reason given"
                wait = response.headers.get("retry-after", "")
                raise DataError(f"{url!r} answered {response.status_code} ({reason}){wait and f'; try in {wait:.40}'}")
            body = self._within_limit(self._body(response, url, deadline, self._max_bytes))
        kind, etag, modified = (response.headers.get(name, "") for name in ("content-type", "etag", "last-modified"))
        return CachedAnswer(url, kind, etag, modified, until, body), ""

    def _body(self, response: httpx.Response, url: str, deadline: float, most: int) -> bytes:
        """Read a body until it has more than `most` bytes."""
        body = bytearray()
        for chunk in response.iter_bytes(65_536):
            body += chunk
            if len(body) > most:
                break
            if time.monotonic() > deadline:
                raise DataError(f"{url!r} was not read within {self._timeout:g} seconds")
        return bytes(body)

    def _ask_robots(self, client: httpx.Client, url: str, trusted: str, deadline: float) -> None:
        """Refuse an address that the host's robots.txt forbids. Without the file, all is allowed (RFC 9309)."""
        place = urljoin(url, "/robots.txt")
        known = self._cache.get(place)
        if known is None or time.time() >= known.fresh_until:
            known = self._robots(client, place, trusted, deadline)
            self._cache.put(place, known)
        rules = RobotFileParser()
        rules.parse(known.body.decode("utf-8", "replace").splitlines())
        if not rules.can_fetch(AGENT, url):
            raise DataError(f"robots.txt of {urlsplit(url).netloc!r} forbids reading {url!r}")

    def _robots(self, client: httpx.Client, place: str, trusted: str, deadline: float) -> CachedAnswer:
        with client.stream("GET", place) as response:
            self._check_peer(response, trusted)
            if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise DataError(f"{place!r} answered {response.status_code}, so nothing may be read there now")
            found = response.status_code == HTTPStatus.OK
            body = self._body(response, place, deadline, ROBOTS_BYTES)[:ROBOTS_BYTES] if found else b""
        return CachedAnswer(place, "", "", "", time.time() + 3600.0, body)

    def _keep(self, asked: str, answer: CachedAnswer) -> None:
        if answer.fresh_until >= 0:
            self._cache.put(asked, answer)

    def _check_host(self, url: str, trusted: str) -> None:
        parts = urlsplit(url)
        if parts.hostname != trusted:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            refuse_private_host(parts.hostname or "", port)

    def _check_peer(self, response: httpx.Response, trusted: str) -> None:
        """Refuse an answer from a private address, to which a name changed after it was checked."""
        if response.request.url.host == trusted or not self._peers_are_known:
            return
        peer = response.extensions["network_stream"].get_extra_info("server_addr")
        if peer is not None and not is_public(str(peer[0])):
            raise DataError(f"{str(response.url)!r} was refused: {peer[0]} is an address of a private network")

    def _within_limit(self, body: bytes) -> bytes:
        if len(body) > self._max_bytes:
            raise DataError(f"it is larger than {self._max_bytes / 1e6:g} MB; see max_megabytes in [digest]")
        return body


def _redirected(url: str, location: str) -> str:
    """Return the address that a redirect leads to.

    Raises:
        DataError: it is none of the web.
    """
    try:
        following = urljoin(url, location)
        scheme, _port = urlsplit(following).scheme, urlsplit(following).port  # an impossible port raises
    except ValueError as error:
        raise DataError(f"{url!r} redirects to {location!r:.100}, which is not an address: {error}") from None
    if scheme not in ("http", "https"):
        raise DataError(f"{url!r} redirects to {following!r:.100}, which is not a web address")
    return following
