"""Answers over HTTP: JSON that no browser takes for a page, errors, streams that end with their client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack
from typing import Any, TypeVar

from openai.types.chat import ChatCompletionTokenLogprob
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from telic.models import Reply
from telic.server.exchange import Exchange
from telic.server.problems import ApiError
from telic.server.service import Service
from telic.server.wire import ChatRequest, Header, chunk, completion, finish_of, logprobs_of, usage_of

__all__ = ["EventStream", "GoneError", "events_of", "json_answer", "problem", "read_body", "while_connected", "whole"]

T = TypeVar("T")

SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class GoneError(Exception):
    """The client has left."""


def json_answer(
    value: BaseModel | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An answer in JSON."""
    return Response(_dump(value), status, {**SAFE, **(headers or {})}, "application/json")


def problem(error: ApiError) -> Response:
    """An error in OpenAI's form."""
    return json_answer(error.body, error.status, error.headers)


def _dump(value: BaseModel | dict[str, Any]) -> str:
    # Fields that were set to nothing are told, those that nobody set are not.
    return value.model_dump_json(exclude_unset=True) if isinstance(value, BaseModel) else json.dumps(value)


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """Read a request's body, up to a limit.

    Raises:
        ApiError: it is too long, or takes too long.
        GoneError: the client left.
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
                    raise GoneError
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise ApiError(408, f"the body did not come within {seconds:g} s") from None


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Do something for a client that waits; its body must have been read.

    Raises:
        GoneError: the client left, and the work was stopped.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise GoneError
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """A stream of events; what belongs to it is let go when it ends, or when the client leaves, even before it began.

    Args:
        lines: the events.
        resources: what belongs to it.
        headers: of the answer.
    """

    def __init__(self, lines: AsyncIterator[str], resources: ExitStack, headers: dict[str, str]) -> None:
        super().__init__(lines, headers={**SAFE, **headers}, media_type="text/event-stream")
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        with self._resources:
            await super().__call__(scope, receive, send)


async def whole(exchange: Exchange, service: Service, header: Header, *, logprobs: bool) -> str:
    """A complete answer, once it is kept.

    Raises:
        ApiError: the model failed, or the answer could not be kept.
    """
    async for _ in exchange.events():
        pass
    await exchange.keep()
    told = [_logprobs(service, reply.token_ids, reply.logprobs) for reply in exchange.replies] if logprobs else None
    return _dump(completion(header, exchange.replies, told))


async def events_of(exchange: Exchange, service: Service, header: Header, body: ChatRequest) -> AsyncIterator[str]:
    """The lines of a stream. No choice is said to be complete before the turn is kept."""
    try:
        for index in range(exchange.count):
            yield _line(chunk(header, index, ChoiceDelta(role="assistant", content="")))
        async for index, event in exchange.events():
            if not isinstance(event, Reply):
                told = _logprobs(service, event.token_ids, event.logprobs) if body.logprobs else None
                yield _line(chunk(header, index, ChoiceDelta(content=event.text), logprobs=told))
        await exchange.keep()
    except ApiError as error:  # the status is out already
        yield _line(error.body)
        return
    for index, reply in enumerate(exchange.replies):
        yield _line(chunk(header, index, finish=finish_of(reply)))
    if body.stream_options is not None and body.stream_options.include_usage:
        yield _line(chunk(header, None, usage=usage_of(exchange.replies)))
    yield "data: [DONE]\n\n"


def _line(value: BaseModel | dict[str, Any]) -> str:
    return f"data: {_dump(value)}\n\n"


def _logprobs(
    service: Service, token_ids: tuple[int, ...], logprobs: tuple[float, ...] | None
) -> list[ChatCompletionTokenLogprob]:
    pairs = zip(token_ids, logprobs or (), strict=False)
    return logprobs_of((service.token_text(token), logprob) for token, logprob in pairs)
