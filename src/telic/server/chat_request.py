"""The requests of OpenAI's chat completions.

A field that would change the reply and is not supported is refused. A field that changes nothing essential (a sampler
of llama.cpp's own, a hint about caching) is ignored, so clients of OpenAI and of llama.cpp work unchanged. The header
`X-Telic-Ignored` of the response lists it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from telic.dialogue import Message, ToolDefinition
from telic.errors import ConfigError
from telic.models import ResponseFormat, Sampling
from telic.models.request import ToolChoice
from telic.server.chat_tools import CallPart, NamedChoice, ToolPart, result_problem
from telic.server.errors import ApiError

__all__ = ["ChatMessage", "ChatRequest", "parse_request"]

MAX_STOP = 16
"""Largest number of stop strings in a request."""
MAX_TOOLS = 128
"""Largest number of tools in a request."""
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

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[CallPart] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _check_content(self) -> ChatMessage:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("the message has no content")
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a message from {self.role!r} has tool_calls; only the assistant calls tools")
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_refusal(cls, given: Any) -> Any:
        """A refusal that a client got in the field of that name comes back in it, without content."""
        if isinstance(given, dict) and not given.get("content") and isinstance(given.get("refusal"), str):
            return {**given, "content": given["refusal"]}
        return given

    @property
    def message(self) -> Message:
        """The message as a `telic.dialogue.Message`."""
        parts = self.content or ""
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=parts if isinstance(parts, str) else "".join(part.text for part in parts),
            tool_calls=tuple(part.call for part in self.tool_calls or ()),
            tool_call_id=self.tool_call_id if self.role == "tool" else None,
        )


class StreamOptions(_Part):
    """Options of a streamed response."""

    include_usage: bool = False


class NamedSchema(_Part):
    """A JSON schema."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None
    """Ignored: replies always keep to the schema."""


class ClientFormat(_Part):
    """Form of the reply."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _check_schema(self) -> ClientFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing; expected a name and a schema")
        return self


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
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Int64 | None = None
    """An extension of llama.cpp and vLLM; 0 and below: all tokens."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """An extension of llama.cpp and vLLM."""
    seed: Int64 | None = None
    stop: str | Annotated[list[Stop], Field(max_length=MAX_STOP)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    ignore_eos: bool | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | Annotated[list[Any], Field(max_length=0)] | None = None
    tools: Annotated[list[ToolPart], Field(max_length=MAX_TOOLS)] | None = None
    """Tools that the client carries out."""
    tool_choice: Literal["auto", "none", "required"] | NamedChoice | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: ClientFormat | None = None
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
            raise ValueError("the last message is from the assistant; expected one from the user, or a tool's result")
        if problem := result_problem([message.message for message in messages]):
            raise ValueError(problem)
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

    @property
    def tool_definitions(self) -> tuple[ToolDefinition, ...]:
        """The tools that the client carries out.

        Raises:
            ApiError: two of them have the same name.
        """
        definitions = tuple(part.definition for part in self.tools or ())
        names = [one.name for one in definitions]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ApiError(400, f"tools: two of them are called {twice!r}", param="tools")
        return definitions

    @property
    def named_choice(self) -> ToolChoice:
        """The choice of a tool.

        Raises:
            ApiError: it names no tool of the request.
        """
        choice = self.tool_choice or "auto"
        names = [part.function.name for part in self.tools or ()]
        name = choice if isinstance(choice, str) else choice.function.name
        if name not in ("auto", "none", *names) and not (name == "required" and names):
            listed = ", ".join(names) or "none"
            raise ApiError(400, f"tool_choice is {name!r}; the request's tools are: {listed}", param="tool_choice")
        return name

    @property
    def requested_tokens(self) -> int:
        """The number of tokens that the request asks for; -1 if it does not say."""
        named = (self.max_completion_tokens, self.max_tokens, self.n_predict)
        return next((number for number in named if number is not None), -1)

    @property
    def reply_format(self) -> ResponseFormat | None:
        """The form of the reply; None for plain text.

        Raises:
            ApiError: the form is none.
        """
        given = self.response_format
        try:
            if given is None or given.type == "text":
                return None
            if given.json_schema is None or given.type == "json_object":
                return ResponseFormat.json_object()
            return ResponseFormat.json_schema(given.json_schema.schema_ or {"type": "object"}, given.json_schema.name)
        except ConfigError as error:
            raise ApiError(400, str(error), param="response_format") from None

    def sampling(self, base: Sampling, limit: int) -> Sampling:
        """Apply the request's sampling options to the purpose's.

        Args:
            base: the purpose's options.
            limit: largest number of tokens of a reply; a request that asks for more gets this many.

        Raises:
            ApiError: the request asks for no tokens.
        """
        requested = self.requested_tokens
        if requested == 0:
            raise ApiError(400, "max_tokens is 0; expected at least 1", param="max_tokens")
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        own_stop = base.stop if self.reply_format is None else ()  # the purpose's are about prose
        sampling = replace(
            base,
            max_new_tokens=min(base.max_new_tokens if requested < 0 else requested, limit),
            stop=(*own_stop, *filter(None, stop)),
            seed=base.seed if self.seed is None else self.seed,
            ignore_eos=bool(self.ignore_eos),
        )
        if self.temperature is not None:
            sampling = replace(sampling, temperature=self.temperature)
        if self.top_k is not None:
            sampling = replace(sampling, top_k=max(0, self.top_k))
        if self.min_p is not None:
            sampling = replace(sampling, min_p=self.min_p)
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
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False)) from None
    except RecursionError:
        raise ApiError(400, "body: nested too deeply") from None
    for name, value in (request.model_extra or {}).items():
        if _changes_the_reply(name, value):
            raise _unsupported(name)
    return request


def _changes_the_reply(name: str, value: Any) -> bool:
    """Whether a field that this server does not know asks for another reply."""
    if value is None or not (name in _REPLY_FIELDS or name.startswith("guided_")):
        return False
    neutral = _REPLY_FIELDS.get(name) or (False, 0, "", [], {})
    return value not in neutral


def _unsupported(name: str) -> ApiError:
    return ApiError(
        400, f"{name}: this server does not support {name}; remove it", param=name, code="unsupported_parameter"
    )


def _invalid(errors: list[ErrorDetails]) -> ApiError:
    """Describe one of the errors of a body.

    It is the deepest one: of a field with two valid forms, it belongs to the form that the client meant. Among equals,
    one that is about the value comes before one about its type.
    """
    error = max(errors, key=lambda one: (len(one["loc"]), not one["type"].endswith("_type")))
    param = str(error["loc"][0]) if error["loc"] else None
    if param in _UNSUPPORTED:
        return _unsupported(param)
    location = ".".join(str(part) for part in error["loc"] if part != "str" and "[" not in str(part))
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("too_long", "too_short"):
        context = error["ctx"]
        bound = (
            f"at most {context['max_length']}" if error["type"] == "too_long" else f"at least {context['min_length']}"
        )
        message = f"{context['actual_length']} entries; expected {bound}"
    return ApiError(400, f"{location or 'body'}: {message}", param=param)


_UNSUPPORTED = {
    "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias", "functions", "modalities",
    "grammar", "json_schema",
}  # fmt: skip

_REPLY_FIELDS: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,), "allowed_token_ids": (), "audio": (), "bad_words": (), "best_of": (1,),
    "chat_template": (), "chat_template_kwargs": (), "continue_final_message": (), "documents": (), "echo": (),
    "function_call": ("none", "auto"), "include_stop_str_in_output": (), "length_penalty": (1,), "min_tokens": (),
    "prediction": (), "repetition_penalty": (1,), "skip_special_tokens": (True,), "stop_token_ids": (),
    "parallel_tool_calls": (True,), "structured_outputs": (), "suffix": (), "truncate_prompt_tokens": (-1,),
    "use_beam_search": (), "web_search_options": (),
}  # fmt: skip
"""Fields of OpenAI's and vLLM's requests that would change the reply, and the values with which they do not; without
any, those that are empty or zero. Fields that begin with `guided_` belong to them too."""
