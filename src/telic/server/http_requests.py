"""Reading requests, and noticing that their client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

from telic.server.errors import ApiError

__all__ = ["CLIENT_CLOSED_REQUEST", "ClientDisconnectedError", "named_user", "read_body", "while_connected"]

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Status of a request whose client disconnected, as nginx and the metrics count it."""


class ClientDisconnectedError(Exception):
    """The client has disconnected."""


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """Read the body of a request.

    Args:
        request: the request.
        limit: longest body, in bytes.
        seconds: time for it to arrive.

    Raises:
        ApiError: the body is too long or too slow.
        ClientDisconnectedError: the client disconnected.
    """
    too_long = ApiError(413, f"the body is longer than {limit} bytes", code="body_too_large")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnectedError
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {seconds:g} s") from None


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await something for a client whose body was read; cancel it if the client disconnects.

    Raises:
        ClientDisconnectedError: the client disconnected.
    """
    task, disconnected = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnectedError
        return task.result()
    finally:
        for one in (task, disconnected):
            one.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def named_user(request: Request, holder: str) -> str:
    """Return the user that a request is about.

    It is the key's holder, or with `?user=NAME` a user whom the holder's requests named.

    Raises:
        ApiError: the name is empty, or there are several.
    """
    names = request.query_params.getlist("user")
    if len(names) > 1 or "" in names:
        message = f"?user is {', '.join(map(repr, names))}; expected one name, or no ?user for all users of this key"
        raise ApiError(400, message, param="user")
    return f"{holder}/{names[0]}" if names else holder
