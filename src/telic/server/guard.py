"""Who is let in: keys, and protection of a server without keys from web pages in a browser on the same machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from telic.server.keys import Keys
from telic.server.problems import ApiError
from telic.server.replies import problem

__all__ = ["LOCAL_HOSTS", "Guard", "holder_of"]

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
NOBODY = "local"
"""Whose requests they are where no keys are asked for."""


def holder_of(headers: Headers, keys: Keys) -> str:
    """The name of whose key a request shows.

    Raises:
        ApiError: it shows none, or one that is not known.
    """
    if not keys:
        return NOBODY
    scheme, _, key = headers.get("authorization", "").partition(" ")
    holder = keys.holder(key.strip()) if scheme.lower() == "bearer" else None
    if holder is None:
        advice = "expected the header `Authorization: Bearer KEY`"
        raise ApiError(
            401, f"no known API key; {advice}", code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
        )
    return holder


class Guard:
    """Refuses what a foreign web page sends through a browser: DNS rebinding, and forms posted across origins.

    Args:
        app: what is guarded.
        hosts: names under which the server may be called; None: any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] in ("http", "websocket") and (refused := self._refused(Headers(scope=scope))):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await problem(ApiError(403, refused))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, headers: Headers) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            foreign = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            return "the header Host or Origin cannot be read"
        if self._hosts is not None and name not in self._hosts:
            return "this server has no such name; call it by the address that it was started with"
        return "requests of other sites' pages are not answered" if foreign else ""
