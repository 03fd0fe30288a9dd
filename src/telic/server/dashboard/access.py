"""Who sees the dashboard: a page that asks for the API key, and a cookie that stands for it from then on."""

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

from telic.server.dashboard.elements import style_sheet
from telic.server.guard import NOBODY
from telic.server.keys import Keys
from telic.server.problems import ApiError
from telic.server.replies import GoneError, problem, read_body
from telic.server.service import Service

__all__ = ["HOLDER", "SERVICE", "Door"]

HOLDER, SERVICE = "telic.holder", "telic.service"
"""Where a page finds, in its request's scope, whose key it is shown for, and what answers."""
COOKIE = "telic_dashboard"
SECONDS = 12 * 3600
"""How long a key that was shown once is good for."""
MOST = 10_000
"""Keys shown at once; the oldest goes first."""
LONGEST = 4096
"""Bytes of what the page with the key sends."""

# Vue makes its templates in the browser, so it has to be let. That all else is this server's holds for every page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class Door:
    """Lets those in who have shown a key, and tells pages who they are. Without keys, it lets everyone in.

    Args:
        app: what is behind it.
        service: what the pages talk to.
        keys: of whom.
        path: of the dashboard; nothing else is looked at.
    """

    def __init__(self, app: ASGIApp, service: Service, keys: Keys, path: str) -> None:
        self._app, self._service, self._keys, self._path = app, service, keys, path
        self._shown: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By the hash of a cookie: whose key it stands for, and until when."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or ask for the key."""
        inside = scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._path}/")
        if not inside:
            await self._app(scope, receive, send)
            return
        place = scope["path"].removeprefix(self._path)
        holder = self._holder(Headers(scope=scope))
        if scope["type"] == "websocket" and holder is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and place in ("/login", "/logout"):
            await (await self._at_the_door(place, Request(scope, receive)))(scope, receive, send)
            return
        if holder is None:
            wanted = scope["method"] == "GET" and "/_nicegui" not in place
            answer = RedirectResponse(f"{self._path}/login", 303) if wanted else _refusal()
            await answer(scope, receive, send)
            return
        scope[HOLDER], scope[SERVICE] = holder, self._service
        await self._app(scope, receive, _guarded(send) if scope["type"] == "http" else send)

    def _holder(self, headers: Headers) -> str | None:
        if not self._keys:
            return NOBODY
        holder, until = self._shown.get(_digest(_cookie(headers)), ("", 0.0))
        return holder if until > time.monotonic() else None

    async def _at_the_door(self, place: str, request: Request) -> Response:
        if not self._keys:
            return RedirectResponse(f"{self._path}/", 303)
        if place == "/logout" and request.method == "POST":
            self._shown.pop(_digest(_cookie(request.headers)), None)
            gone = RedirectResponse(f"{self._path}/login", 303)
            gone.delete_cookie(COOKIE, path=self._path)
            return gone
        if request.method != "POST":
            return self._form()
        try:
            body = await read_body(request, LONGEST, self._service.config.body_seconds)
        except ApiError as error:
            return problem(error)
        except GoneError:
            return Response(status_code=499)
        key = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()
        holder = self._keys.holder(key)
        if holder is None:
            return self._form("This server knows no such key.", 401)
        token = secrets.token_urlsafe(32)
        self._shown[_digest(token)] = holder, time.monotonic() + SECONDS
        while len(self._shown) > MOST:
            self._shown.popitem(last=False)
        inside = RedirectResponse(f"{self._path}/", 303)
        secure = request.url.scheme == "https"
        inside.set_cookie(COOKIE, token, SECONDS, path=self._path, secure=secure, httponly=True, samesite="strict")
        return inside

    def _form(self, wrong: str = "", status: int = 200) -> Response:
        name = escape(self._service.purpose.name)
        alert = f'<p class="alert" role="alert" id="wrong">{escape(wrong)}</p>' if wrong else ""
        described = ' aria-describedby="wrong" aria-invalid="true"' if wrong else ""
        page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{name}: key</title>
<link rel="icon" href="data:,"><style>{style_sheet()}</style></head><body class="door"><main>
<h1>{name}</h1><form method="post" action="{self._path}/login">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus{described}>
{alert}<button class="primary" type="submit">Enter</button>
<p class="hint">Whoever runs this server makes one with <code>telic keys NAME</code>.</p></form></main></body></html>"""
        return HTMLResponse(page, status, {"Cache-Control": "no-store", **_safety()})


def _safety() -> dict[str, str]:
    return {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _safety().items():
                headers.setdefault(name, value)
        await send(message)

    return guarded


def _refusal() -> Response:
    return problem(ApiError(401, "show the API key first", code="invalid_api_key"))


def _cookie(headers: Headers) -> str:
    # Not the standard library's: that reads no further than another server's cookie with a brace in it.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
