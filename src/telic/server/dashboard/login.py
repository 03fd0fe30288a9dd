"""The dashboard's login: a page that asks for the API key, and a cookie that stands for it afterwards."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telic.server.authentication import LOCAL_USER
from telic.server.dashboard.elements import dashboard_style
from telic.server.errors import ApiError
from telic.server.http_requests import CLIENT_CLOSED_REQUEST, ClientDisconnectedError, read_body
from telic.server.http_responses import error_response
from telic.server.keys import Keys
from telic.server.service import Service

__all__ = ["LoginMiddleware", "key_holder", "page_service"]

_HOLDER, _SERVICE = "telic.holder", "telic.service"
"""Keys of a request's scope."""
COOKIE = "telic_dashboard"
LOGIN_SECONDS = 12 * 3600
"""How long a login lasts."""
MAX_LOGINS = 10_000
"""Active logins; beyond it, the oldest one ends."""
MAX_BODY_BYTES = 4096
"""Longest body that the login page sends."""

# Vue compiles its templates in the browser, which needs `unsafe-eval`. Everything else comes from this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def page_service(request: Request) -> Service:
    """Return the service of a page."""
    service: Service = request.scope[_SERVICE]
    return service


def key_holder(request: Request) -> str:
    """Return the holder of the API key that a page was opened with."""
    holder: str = request.scope[_HOLDER]
    return holder


class LoginMiddleware:
    """Requires a login for the dashboard, unless the server has no keys.

    Pages find the holder of the key and the service with `key_holder` and `page_service`.

    Args:
        app: the application behind it.
        service: the service of the pages.
        keys: the API keys.
        path: path of the dashboard; other requests pass through.
    """

    def __init__(self, app: ASGIApp, service: Service, keys: Keys, path: str) -> None:
        self._app, self._service, self._keys, self._path = app, service, keys, path
        self._logins: OrderedDict[str, tuple[str, bytes | None, float]] = OrderedDict()
        """By hash of the cookie: the holder of the key, the key's hash, and when the login ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or redirect it to the login page."""
        in_dashboard = scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._path}/")
        if not in_dashboard:
            await self._app(scope, receive, send)
            return
        page = scope["path"].removeprefix(self._path)
        holder = self._holder(Headers(scope=scope))
        if scope["type"] == "websocket" and holder is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and page in ("/login", "/logout"):
            await (await self._log_in_or_out(page, Request(scope, receive)))(scope, receive, send)
            return
        if holder is None:
            is_page = scope["method"] == "GET" and "/_nicegui" not in page
            response = RedirectResponse(f"{self._path}/login", 303) if is_page else _refusal()
            await response(scope, receive, send)
            return
        scope[_HOLDER], scope[_SERVICE] = holder, self._service
        if scope["type"] == "websocket":
            await self._app(scope, self._while_logged_in(receive, Headers(scope=scope)), send)
        else:
            await self._app(scope, receive, _with_safety_headers(send))

    def _while_logged_in(self, receive: Receive, headers: Headers) -> Receive:
        """End the connection of an open page with its login, at the next message from the browser."""

        async def receive_while_logged_in() -> Message:
            message = await receive()
            return message if self._holder(headers) else {"type": "websocket.disconnect", "code": 1008}

        return receive_while_logged_in

    def _holder(self, headers: Headers) -> str | None:
        if not self._keys:
            return LOCAL_USER
        holder, key, end = self._logins.get(_digest(_cookie(headers)), ("", None, 0.0))
        is_revoked = key is None or self._keys.digest(holder) != key
        return holder if end > time.monotonic() and not is_revoked else None

    async def _log_in_or_out(self, page: str, request: Request) -> Response:
        if not self._keys:
            return RedirectResponse(f"{self._path}/", 303)
        if page == "/logout" and request.method == "POST":
            self._logins.pop(_digest(_cookie(request.headers)), None)
            logged_out = RedirectResponse(f"{self._path}/login", 303)
            logged_out.delete_cookie(COOKIE, path=self._path)
            return logged_out
        if request.method != "POST":
            return self._form()
        try:
            body = await read_body(request, MAX_BODY_BYTES, self._service.config.body_seconds)
        except ApiError as error:
            return error_response(error)
        except ClientDisconnectedError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        key = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()
        holder = self._keys.holder(key)
        if holder is None:
            return self._form("Unknown API key.", 401)
        token = secrets.token_urlsafe(32)
        self._logins[_digest(token)] = holder, self._keys.digest(holder), time.monotonic() + LOGIN_SECONDS
        while len(self._logins) > MAX_LOGINS:
            self._logins.popitem(last=False)
        logged_in = RedirectResponse(f"{self._path}/", 303)
        secure = request.url.scheme == "https"
        logged_in.set_cookie(
            COOKIE, token, LOGIN_SECONDS, path=self._path, secure=secure, httponly=True, samesite="strict"
        )
        return logged_in

    def _form(self, error: str = "", status: int = 200) -> Response:
        name = escape(self._service.purpose.name)
        alert = f'<p class="alert" role="alert" id="error">{escape(error)}</p>' if error else ""
        described = ' aria-describedby="error" aria-invalid="true"' if error else ""
        page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{name}: API key</title>
<link rel="icon" href="data:,"><style>{dashboard_style()}</style></head><body class="login"><main>
<h1>{name}</h1><form method="post" action="{self._path}/login">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus{described}>
{alert}<button class="primary" type="submit">Enter</button>
<p class="hint">The administrator makes keys with <code>telic keys NAME</code>.</p></form></main></body></html>"""
        return HTMLResponse(page, status, {"Cache-Control": "no-store", **_safety_headers()})


def _safety_headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


def _with_safety_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _safety_headers().items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def _refusal() -> Response:
    return error_response(ApiError(401, "log in with an API key first", code="invalid_api_key"))


def _cookie(headers: Headers) -> str:
    # The parser of the standard library stops at a brace, which another server's cookie may contain.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
