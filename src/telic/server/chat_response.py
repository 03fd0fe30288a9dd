"""The responses of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage, ChatCompletionTokenLogprob
from openai.types.chat.chat_completion import Choice, ChoiceLogprobs
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_chunk import ChoiceLogprobs as ChunkLogprobs
from openai.types.chat.chat_completion_message_tool_call import ChatCompletionMessageToolCallUnion
from openai.types.completion_usage import PromptTokensDetails

from telic.models import Reply
from telic.server.chat_tools import wire_calls

__all__ = ["ResponseMetadata", "chat_completion", "chat_completion_chunk", "finish_reason", "token_logprobs", "usage"]


@dataclass(frozen=True, slots=True)
class ResponseMetadata:
    """Fields that all chunks of a response share."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str


FinishReason = Literal["stop", "length", "tool_calls"]


def finish_reason(reply: Reply) -> FinishReason:
    """Return OpenAI's word for why a reply ended."""
    if reply.finish != "stop":
        return "length"
    return "tool_calls" if reply.tool_calls else "stop"


def usage(replies: Sequence[Reply]) -> CompletionUsage:
    """Count the tokens of all choices. Their prompt counts once."""
    prompt, new = replies[0].prompt_tokens, sum(reply.new_tokens for reply in replies)
    details = PromptTokensDetails(cached_tokens=replies[0].cached_tokens)
    return CompletionUsage(
        prompt_tokens=prompt, completion_tokens=new, total_tokens=prompt + new, prompt_tokens_details=details
    )


def token_logprobs(tokens: Iterable[tuple[str, float]]) -> list[ChatCompletionTokenLogprob]:
    """Convert pairs of token text and log-probability. A token that is a part of a character has no `bytes`."""
    return [
        ChatCompletionTokenLogprob(
            token=text,
            logprob=max(logprob, -9999.0),
            bytes=None if "\ufffd" in text else list(text.encode()),
            top_logprobs=[],
        )
        for text, logprob in tokens
    ]


def _message(reply: Reply, *, refused: bool) -> ChatCompletionMessage:
    if refused:
        return ChatCompletionMessage(role="assistant", content=None, refusal=reply.text)
    if not reply.tool_calls:
        return ChatCompletionMessage(role="assistant", content=reply.text, refusal=None)
    calls: list[ChatCompletionMessageToolCallUnion] = [*wire_calls(reply.tool_calls)]
    return ChatCompletionMessage(role="assistant", content=reply.text or None, refusal=None, tool_calls=calls)


def chat_completion(
    metadata: ResponseMetadata,
    replies: Sequence[Reply],
    logprobs: Sequence[list[ChatCompletionTokenLogprob]] | None,
    refusals: Sequence[bool],
) -> ChatCompletion:
    """Make a complete response.

    Args:
        metadata: fields of the response.
        replies: the choices.
        logprobs: log-probabilities of their tokens, if they are wanted.
        refusals: which of them are refusals instead of content.
    """
    choices = [
        Choice(
            index=index,
            finish_reason=finish_reason(reply),
            message=_message(reply, refused=refusals[index]),
            logprobs=None if logprobs is None else ChoiceLogprobs(content=logprobs[index], refusal=None),
        )
        for index, reply in enumerate(replies)
    ]
    return ChatCompletion(
        id=metadata.id,
        object="chat.completion",
        created=metadata.created,
        model=metadata.model,
        choices=choices,
        usage=usage(replies),
    )


def chat_completion_chunk(
    metadata: ResponseMetadata,
    index: int | None,
    delta: ChoiceDelta | None = None,
    *,
    finish: FinishReason | None = None,
    logprobs: list[ChatCompletionTokenLogprob] | None = None,
    usage: CompletionUsage | None = None,
) -> ChatCompletionChunk:
    """Make a chunk of a streamed response.

    Args:
        metadata: fields that all chunks share.
        index: the choice; None for the last chunk, which has the usage.
        delta: new text.
        finish: why the choice ended, in its last chunk.
        logprobs: log-probabilities of the new tokens.
        usage: tokens of all choices.
    """
    choices = []
    if index is not None:
        content = None if logprobs is None else ChunkLogprobs(content=logprobs, refusal=None)
        choices = [ChunkChoice(index=index, delta=delta or ChoiceDelta(), finish_reason=finish, logprobs=content)]
    return ChatCompletionChunk(
        id=metadata.id,
        object="chat.completion.chunk",
        created=metadata.created,
        model=metadata.model,
        choices=choices,
        usage=usage,
    )
