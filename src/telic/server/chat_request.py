"""The requests of OpenAI's chat completions.

A field that would change the reply and is not supported is refused. A field that changes nothing essential (a sampler
of another engine, a hint about caching) is ignored, so clients of OpenAI and of llama.cpp work unchanged. The header
`X-Telic-Ignored` of the response lists it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from telic.dialogue import Message
from telic.models import Sampling
from telic.server.errors import ApiError

__all__ = ["ChatMessage", "ChatRequest", "parse_request"]

MAX_STOP = 16
"""Largest number of stop strings in a request."""
MAX_IGNORED = 16
"""Largest number of ignored fields that a response lists."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class TextPart(_Part):
    """A part of a message; other kinds of parts are not supported."""

    type: Literal["text"]
    text: str


class ChatMessage(_Part):
    """A message of a request."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def message(self) -> Message:
        """The message as a `telic.dialogue.Message`."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class StreamOptions(_Part):
    """Options of a streamed response."""

    include_usage: bool = False


class ResponseFormat(_Part):
    """Format of the reply; only plain text is supported."""

    type: Literal["text"]


class ChatRequest(_Part):
    """The body of a chat completion."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str | None = None
    """Ignored: a server has one model."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[Int64, Field(ge=-1)] | None = None
    max_completion_tokens: Annotated[Int64, Field(ge=-1)] | None = None
    n_predict: Annotated[Int64, Field(ge=-1)] | None = None
    """llama.cpp's name for `max_tokens`."""
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Int64 | None = None
    """An extension of llama.cpp and vLLM; 0 and below: all tokens."""
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
    """The client's user; conversations of different users are separate."""
    safety_identifier: str | None = None
    """OpenAI's newer name for `user`."""
    conversation: str | None = None
    """An extension: the conversation to continue, by the id in a response's header `X-Telic-Conversation`."""

    @field_validator("messages")
    @classmethod
    def _check_last_role(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if messages[-1].role == "assistant":
            raise ValueError("the last message is from the assistant; expected a message from the user")
        return messages

    @field_validator("user", "safety_identifier")
    @classmethod
    def _check_user(cls, name: str | None) -> str | None:
        if name and not _USER.fullmatch(name):
            raise ValueError("expected up to 200 characters without control characters")
        return name

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that are ignored."""
        extra = {*(self.model_extra or {})}
        for message in self.messages:
            extra |= {f"messages_{name}" for name in message.model_extra or {}}
        return sorted(name for name in extra if _NAME.fullmatch(name))[:MAX_IGNORED]

    def sampling(self, base: Sampling, limit: int) -> Sampling:
        """Apply the request's sampling options to the purpose's.

        Args:
            base: the purpose's options.
            limit: largest number of tokens that a request may ask for.

        Raises:
            ApiError: the request asks for more tokens.
        """
        requested = next(
            (n for n in (self.max_completion_tokens, self.max_tokens, self.n_predict) if n is not None), -1
        )
        if requested > limit or requested == 0:
            message = f"max_tokens is {requested}; expected at least 1 and at most {limit}"
            raise ApiError(400, message, param="max_tokens")
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        sampling = replace(
            base,
            max_new_tokens=min(base.max_new_tokens, limit) if requested < 0 else requested,
            stop=(*base.stop, *filter(None, stop)),
            seed=base.seed if self.seed is None else self.seed,
            ignore_eos=bool(self.ignore_eos),
        )
        if self.temperature is not None:
            sampling = replace(sampling, temperature=self.temperature)
        if self.top_k is not None:
            sampling = replace(sampling, top_k=max(0, self.top_k))
        if self.top_p is not None:  # at 0, the nucleus is the most likely token
            greedy = self.top_p == 0
            sampling = replace(sampling, temperature=0.0) if greedy else replace(sampling, top_p=self.top_p)
        return sampling


def parse_request(body: bytes) -> ChatRequest:
    """Parse the body of a request.

    Raises:
        ApiError: the body is invalid; the message describes one error.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        # The deepest error: of a field with two valid forms, it belongs to the form that the client meant.
        deepest = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
        location = ".".join(str(part) for part in deepest["loc"] if part != "str" and "[" not in str(part))
        param = str(deepest["loc"][0]) if deepest["loc"] else None
        message = deepest["msg"].removeprefix("Value error, ")
        advice = f"; this server does not support {param}" if param in _UNSUPPORTED else ""
        raise ApiError(400, f"{location or 'body'}: {message}{advice}", param=param) from None
    except RecursionError:
        raise ApiError(400, "body: nested too deeply") from None


_UNSUPPORTED = {
    "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias", "tools", "functions", "modalities",
    "response_format", "grammar", "json_schema",
}  # fmt: skip
