"""OpenAI's chat completions on the wire: what a request may say, and how a reply is put.

Whatever would change what is said, and cannot be honoured, is refused. What changes nothing essential (a sampler of
another engine, a hint about caching) is let pass, so that clients of OpenAI and of llama.cpp work unchanged; the
answer's header `X-Telic-Ignored` lists it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage, ChatCompletionTokenLogprob
from openai.types.chat.chat_completion import Choice, ChoiceLogprobs
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_chunk import ChoiceLogprobs as ChunkLogprobs
from openai.types.completion_usage import PromptTokensDetails
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from telic.dialogue import Message
from telic.models import Reply, Sampling
from telic.server.problems import ApiError

__all__ = ["ChatRequest", "Header", "chunk", "completion", "finish_of", "logprobs_of", "parse_request", "usage_of"]

MAX_STOP = 16
"""Most stop strings of a request."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class TextPart(_Part):
    """A part of a message; no other kind can be read."""

    type: Literal["text"]
    text: str


class ChatMessage(_Part):
    """A message of the request."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def message(self) -> Message:
        """The message as the rest of Telic knows it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class StreamOptions(_Part):
    """How a stream ends."""

    include_usage: bool = False


class ResponseFormat(_Part):
    """No form but plain text can be promised."""

    type: Literal["text"]


class ChatRequest(_Part):
    """The body of a chat completion."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str | None = None
    """Any name will do: a server has one model."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[Int64, Field(ge=-1)] | None = None
    max_completion_tokens: Annotated[Int64, Field(ge=-1)] | None = None
    n_predict: Annotated[Int64, Field(ge=-1)] | None = None
    """llama.cpp's name of it."""
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Int64 | None = None
    """llama.cpp's and vLLM's; 0 and below: all tokens."""
    seed: Int64 | None = None
    stop: str | Annotated[list[Stop], Field(max_length=MAX_STOP)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    ignore_eos: bool | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | Annotated[list[Any], Field(max_length=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: ResponseFormat | None = None
    grammar: Literal[""] | None = None
    json_schema: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    user: str | None = None
    """Who speaks through the client; conversations of different users have nothing in common."""
    safety_identifier: str | None = None
    """OpenAI's newer name of it."""
    conversation: str | None = None
    """An extension: the conversation that goes on, as an answer's `X-Telic-Conversation` named it."""

    @field_validator("messages")
    @classmethod
    def _ends_with_the_other_side(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's; end with what the user says")
        return messages

    @field_validator("user", "safety_identifier")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name and not _USER.fullmatch(name):
            raise ValueError("expected up to 200 characters, no control characters among them")
        return name

    @property
    def ignored(self) -> list[str]:
        """Fields that nothing was made of."""
        extra = {*(self.model_extra or {})}
        for message in self.messages:
            extra |= {f"messages_{name}" for name in message.model_extra or {}}
        return sorted(name for name in extra if _NAME.fullmatch(name))[:MAX_STOP]  # it goes into a header

    def sampling(self, base: Sampling, limit: int) -> Sampling:
        """How the reply is drawn: the purpose's way, but for what the request says.

        Raises:
            ApiError: more tokens are asked for than `limit`.
        """
        asked = next((n for n in (self.max_completion_tokens, self.max_tokens, self.n_predict) if n is not None), -1)
        if asked > limit or asked == 0:
            raise ApiError(400, f"max_tokens is {asked}; expected at least 1 and at most {limit}", param="max_tokens")
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        drawn = replace(
            base,
            max_new_tokens=min(base.max_new_tokens, limit) if asked < 0 else asked,
            stop=(*base.stop, *filter(None, stop)),
            seed=base.seed if self.seed is None else self.seed,
            ignore_eos=bool(self.ignore_eos),
        )
        if self.temperature is not None:
            drawn = replace(drawn, temperature=self.temperature)
        if self.top_k is not None:
            drawn = replace(drawn, top_k=max(0, self.top_k))
        if self.top_p is not None:  # the smallest nucleus is the most likely token
            drawn = replace(drawn, top_p=self.top_p) if self.top_p > 0 else replace(drawn, temperature=0.0)
        return drawn


def parse_request(body: bytes) -> ChatRequest:
    """Read a request's body.

    Raises:
        ApiError: it is none; the message names one thing that is wrong.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        # Of several, the one that lies deepest: where either of two forms will do, it tells which one was meant.
        told = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
        place = ".".join(str(part) for part in told["loc"] if part != "str" and "[" not in str(part))
        param = str(told["loc"][0]) if told["loc"] else None
        said = told["msg"].removeprefix("Value error, ")
        advice = f"; this server does not support {param}" if param in _UNSUPPORTED else ""
        raise ApiError(400, f"{place or 'body'}: {said}{advice}", param=param) from None
    except RecursionError:
        raise ApiError(400, "body: nested too deeply") from None


_UNSUPPORTED = {
    "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias", "tools", "functions", "modalities",
    "response_format", "grammar", "json_schema",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What all parts of an answer have in common."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str


def finish_of(reply: Reply) -> Literal["stop", "length"]:
    """Why a reply ended, in OpenAI's words."""
    return "stop" if reply.finish == "stop" else "length"


def usage_of(replies: Sequence[Reply]) -> CompletionUsage:
    """Tokens read and written. The prompt of several choices counts once."""
    prompt, new = replies[0].prompt_tokens, sum(reply.new_tokens for reply in replies)
    details = PromptTokensDetails(cached_tokens=replies[0].cached_tokens)
    return CompletionUsage(
        prompt_tokens=prompt, completion_tokens=new, total_tokens=prompt + new, prompt_tokens_details=details
    )


def logprobs_of(tokens: Iterable[tuple[str, float]]) -> list[ChatCompletionTokenLogprob]:
    """The log-probability of each token; one that is a part of a character only has no bytes of its own to show."""
    return [
        ChatCompletionTokenLogprob(
            token=text,
            logprob=max(logprob, -9999.0),
            bytes=None if "\ufffd" in text else list(text.encode()),
            top_logprobs=[],
        )
        for text, logprob in tokens
    ]


def completion(
    header: Header, replies: Sequence[Reply], logprobs: Sequence[list[ChatCompletionTokenLogprob]] | None
) -> ChatCompletion:
    """A whole answer."""
    choices = [
        Choice(
            index=index,
            finish_reason=finish_of(reply),
            message=ChatCompletionMessage(role="assistant", content=reply.text, refusal=None),
            logprobs=None if logprobs is None else ChoiceLogprobs(content=logprobs[index], refusal=None),
        )
        for index, reply in enumerate(replies)
    ]
    return ChatCompletion(
        id=header.id,
        object="chat.completion",
        created=header.created,
        model=header.model,
        choices=choices,
        usage=usage_of(replies),
    )


def chunk(
    header: Header,
    index: int | None,
    delta: ChoiceDelta | None = None,
    *,
    finish: Literal["stop", "length"] | None = None,
    logprobs: list[ChatCompletionTokenLogprob] | None = None,
    usage: CompletionUsage | None = None,
) -> ChatCompletionChunk:
    """A piece of an answer: of one choice, or with no index, of none (the usage at the end)."""
    choices = []
    if index is not None:
        said = None if logprobs is None else ChunkLogprobs(content=logprobs, refusal=None)
        choices = [ChunkChoice(index=index, delta=delta or ChoiceDelta(), finish_reason=finish, logprobs=said)]
    return ChatCompletionChunk(
        id=header.id,
        object="chat.completion.chunk",
        created=header.created,
        model=header.model,
        choices=choices,
        usage=usage,
    )
