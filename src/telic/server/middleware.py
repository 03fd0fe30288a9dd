"""Protection against web pages of other sites that use a visitor's browser to reach the server."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from telic.server.errors import ApiError
from telic.server.http_responses import error_response

__all__ = ["ANY_ORIGIN", "LOCAL_HOSTS", "HostOriginMiddleware"]

ANY_ORIGIN = "*"
API_PATHS = ("/v1/", "/chat/completions", "/models", "/telic/", "/health")
"""Beginnings of the paths that pages of other sites may use, if the settings allow their origin."""
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class HostOriginMiddleware:
    """Refuses requests with a foreign `Host` (DNS rebinding) or a foreign `Origin` (cross-site requests).

    Args:
        app: the application behind it.
        hosts: host names of the server; None: any.
        origins: origins of other sites whose pages may use the API, but not the dashboard; `*`: any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, origins: Collection[str] = ()) -> None:
        self._app, self._hosts, self._origins = app, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and (reason := self._refusal(scope["path"], Headers(scope=scope))):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await error_response(ApiError(403, reason))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> str:
        """Return why a request is refused; empty if it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            foreign = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            return "invalid header Host or Origin"
        if self._hosts is not None and name not in self._hosts:
            return "unknown host name; use the address that the server was started with"
        if not foreign or (self._is_allowed(origin) and path.startswith(API_PATHS)):
            return ""
        return "requests from pages of other sites are refused"

    def _is_allowed(self, origin: str | None) -> bool:
        return origin in self._origins or ANY_ORIGIN in self._origins
