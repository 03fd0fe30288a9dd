"""The middleware that writes a line of the log for every request."""

from __future__ import annotations

import logging
import re
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telic.server.http_requests import CLIENT_CLOSED_REQUEST
from telic.server.log import RequestRecord, log_event, recording

__all__ = ["REQUEST_ID", "RequestLogMiddleware", "record_of"]

REQUEST_ID = "X-Request-ID"
"""The header of a response that names the request in the log; OpenAI's clients show it."""
QUIET = re.compile(r"/(healthz?|metrics)|/dashboard/_nicegui.*")
"""Paths of which successful requests are logged at the level DEBUG: others poll them, or a page loads many at once."""

_SCOPE_KEY = "telic.request"


def record_of(scope: Scope) -> RequestRecord:
    """Return the record of the request of a scope."""
    record = scope.get(_SCOPE_KEY)
    return record if isinstance(record, RequestRecord) else RequestRecord()


class RequestLogMiddleware:
    """Logs every request when its response has ended, and names it in the response.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record, start = RequestRecord(), time.perf_counter()
        scope[_SCOPE_KEY] = record
        status, complete = CLIENT_CLOSED_REQUEST, False

        async def send_and_note(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = record.id
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            with recording(record):
                await self._app(scope, receive, send_and_note)
            status = status if complete else CLIENT_CLOSED_REQUEST
        except Exception:
            status = 500
            raise
        finally:
            _log_request(scope, record, status, 1000 * (time.perf_counter() - start))


def _log_request(scope: Scope, record: RequestRecord, status: int, milliseconds: float) -> None:
    is_quiet = status < 500 and QUIET.fullmatch(scope["path"])
    log_event(
        logging.DEBUG if is_quiet else logging.INFO,
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(milliseconds, 1),
        key=record.key,
        tokens=record.tokens,
        conversation=record.conversation,
        id=record.id,
    )
