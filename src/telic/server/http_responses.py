"""JSON responses, errors, and streams of server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from telic.server.errors import ApiError

__all__ = ["SAFETY_HEADERS", "HeldStream", "error_response", "event_line", "json_response", "to_json"]

SAFETY_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Headers of the API's responses, so that a browser neither shows them as a page nor caches them."""


def json_response(
    value: BaseModel | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Make a JSON response."""
    return Response(to_json(value), status, {**SAFETY_HEADERS, **(headers or {})}, "application/json")


def error_response(error: ApiError) -> Response:
    """Make a response with an error in OpenAI's form."""
    return json_response(error.body, error.status, error.headers)


def to_json(value: BaseModel | dict[str, Any]) -> str:
    """Convert a value to JSON. Fields of a model that were set to None are included, unset ones are not."""
    return value.model_dump_json(exclude_unset=True) if isinstance(value, BaseModel) else json.dumps(value)


def event_line(value: BaseModel | dict[str, Any]) -> str:
    """Format a server-sent event."""
    return f"data: {to_json(value)}\n\n"


class HeldStream(StreamingResponse):
    """A streamed response. Its resources are released when it ends, or when the client disconnects.

    Args:
        lines: the lines of the response.
        resources: closed with the stream, even if it never began.
        media_type: by default that of server-sent events.
        headers: further headers of the response.
    """

    def __init__(
        self,
        lines: AsyncIterator[str],
        resources: ExitStack,
        media_type: str = "text/event-stream",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(lines, headers={**SAFETY_HEADERS, **(headers or {})}, media_type=media_type)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all lines."""
        with self._resources:
            await super().__call__(scope, receive, send)
