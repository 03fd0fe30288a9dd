"""Answers to chat completions: whole or streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openai.types.chat import ChatCompletionTokenLogprob
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from telic.models import Reply
from telic.server.chat_request import ChatRequest
from telic.server.chat_response import (
    ResponseMetadata,
    chat_completion,
    chat_completion_chunk,
    finish_reason,
    token_logprobs,
    usage,
)
from telic.server.chat_tools import call_deltas
from telic.server.errors import ApiError
from telic.server.exchange import Exchange
from telic.server.http_responses import event_line, to_json
from telic.server.runner import RequestRunner

__all__ = ["make_response", "stream_response"]


async def make_response(
    exchange: Exchange, runner: RequestRunner, metadata: ResponseMetadata, body: ChatRequest
) -> str:
    """Wait for all choices, save the turn, and make the JSON of the response.

    Raises:
        ApiError: the model failed, or the turn could not be saved.
    """
    async for _ in exchange.events():
        pass
    await exchange.save()
    logprobs = None
    if body.logprobs:
        logprobs = [_logprobs(runner, reply.token_ids, reply.logprobs) for reply in exchange.replies]
    refusals = [exchange.is_refusal(index) for index in range(exchange.count)]
    return to_json(chat_completion(metadata, exchange.replies, logprobs, refusals))


async def stream_response(
    exchange: Exchange, runner: RequestRunner, metadata: ResponseMetadata, body: ChatRequest
) -> AsyncIterator[str]:
    """Yield the lines of a streamed response. Each `finish_reason` is sent only after the turn is saved."""
    try:
        for index in range(exchange.count):
            yield event_line(chat_completion_chunk(metadata, index, ChoiceDelta(role="assistant", content="")))
        async for index, event in exchange.events():
            if not isinstance(event, Reply):
                logprobs = _logprobs(runner, event.token_ids, event.logprobs) if body.logprobs else None
                refused = exchange.is_refusal(index)
                delta = ChoiceDelta(refusal=event.text) if refused else ChoiceDelta(content=event.text)
                yield event_line(chat_completion_chunk(metadata, index, delta, logprobs=logprobs))
        await exchange.save()
    except ApiError as error:  # the status was sent already
        yield event_line(error.body)
        return
    for index, reply in enumerate(exchange.replies):
        if reply.tool_calls:
            delta = ChoiceDelta(tool_calls=call_deltas(reply.tool_calls))
            yield event_line(chat_completion_chunk(metadata, index, delta))
        yield event_line(chat_completion_chunk(metadata, index, finish=finish_reason(reply)))
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event_line(chat_completion_chunk(metadata, None, usage=usage(exchange.replies)))
    yield "data: [DONE]\n\n"


def _logprobs(
    runner: RequestRunner, token_ids: tuple[int, ...], logprobs: tuple[float, ...] | None
) -> list[ChatCompletionTokenLogprob]:
    pairs = zip(token_ids, logprobs or (), strict=False)
    return token_logprobs((runner.token_text(token), logprob) for token, logprob in pairs)
