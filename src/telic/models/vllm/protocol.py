"""What `VllmEndpoint` and a vLLM server with Telic's plug-in say to each other, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from telic.dialogue import Message, ToolCall, ToolDefinition
from telic.errors import ConfigError, Failure
from telic.models.request import Reply, Sampling
from telic.models.response_format import FormatKind, ResponseFormat
from telic.models.session_cache import SessionCache

__all__ = [
    "PROTOCOL",
    "FormatBody",
    "GenerateBody",
    "ModelCard",
    "carried",
    "reply_from_wire",
    "reply_to_wire",
    "session_cache",
]

PROTOCOL = 2
"""Raised whenever one side could not understand the other."""

_ARRAYS = ("state", "reply_state")


class ModelCard(BaseModel):
    """What a server says about its model: `GET /telic/v1/model`."""

    protocol: int
    telic: str
    vllm: str
    model: str
    hidden_size: int
    layers: int
    points: list[str]
    readings: list[str]
    context_length: int
    max_batch: int


class PromptBody(BaseModel):
    """A prompt: the primary one, or a contrast prompt of a control."""

    model_config = ConfigDict(extra="forbid")

    owner: int | None = None
    """Place of the control that it is a contrast prompt of."""
    messages: list[Message] = Field(min_length=1)
    control_state: dict[str, Any] = {}


class FormatBody(BaseModel):
    """A response format: `POST /telic/v1/formats`, or part of a request."""

    model_config = ConfigDict(extra="forbid")

    kind: FormatKind
    text: str
    trigger: str = ""

    @classmethod
    def of(cls, response_format: ResponseFormat) -> FormatBody:
        """Describe a format."""
        return cls(kind=response_format.kind, text=response_format.text, trigger=response_format.trigger)

    def read(self) -> ResponseFormat:
        """The format.

        Raises:
            ConfigError: it is longer than a format may be, or its JSON is none.
        """
        if self.kind in ("json_object", "json_schema", "choice"):
            try:
                value = json.loads(self.text)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"response format: {self.kind} is not JSON: {error}") from None
            if self.kind == "choice":
                return ResponseFormat.choice(value if isinstance(value, list) else [])
            if not isinstance(value, dict):
                raise ConfigError(f"response format: {self.kind} is {self.text[:100]!r}; expected a JSON object")
        return ResponseFormat(self.kind, self.text, self.trigger)


class GenerateBody(BaseModel):
    """One request: `POST /telic/v1/generate`."""

    model_config = ConfigDict(extra="forbid")

    prompts: list[PromptBody] = Field(min_length=1)
    sampling: Sampling
    controls: list[str | None] = []
    """Keys of the controls, in their order; None for one that acted on the messages only."""
    readings: list[str] = []
    forced: str | None = None
    """A reply that is scored; none is drawn then."""
    reply_prefix: str = ""
    speaker: Literal["assistant", "user"] = "assistant"
    tools: list[ToolDefinition] = []
    """Tools that the reply may call."""
    tool_choice: str = "auto"
    """Whether it calls them: `auto`, `none`, `required`, or a tool's name."""
    response_format: FormatBody | None = None
    """The form that its text must have."""
    cache_salt: str = ""
    stream: bool = False

    @field_validator("sampling", mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        known = {field.name for field in fields(Sampling)}
        if isinstance(given, dict) and (unknown := sorted(set(given) - known)):
            raise ValueError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
        return given


def session_cache(prompts: list[PromptBody]) -> SessionCache:
    """A session's cache with what the controls carry on."""
    primary, *contrast = (SessionCache(control_state=prompt.control_state) for prompt in prompts)
    primary.contrast = contrast
    return primary


def carried(cache: SessionCache | None, number: int) -> dict[str, Any]:
    """What controls carry on for a prompt, as far as it is plain values; what they measured is measured again."""
    own = cache if cache is None or not number else cache.contrast_cache(number - 1)
    return {name: value for name, value in own.control_state.items() if _is_plain(value)} if own else {}


def reply_to_wire(reply: Reply, cache: SessionCache, *, greedy: bool) -> dict[str, Any]:
    """Describe a reply, what the controls carry on, and whether each token of a given reply was the most likely one."""
    states = [carried(cache, number) for number in range(1 + len(cache.contrast))]
    plain = {name: _as_plain(value) for name, value in _fields(reply).items()}
    return {**plain, "control_states": states, "greedy": greedy}


def reply_from_wire(wire: Mapping[str, Any]) -> Reply:
    """Read what `reply_to_wire` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    own = {name: value for name, value in wire.items() if name not in ("control_states", "greedy")}
    for name in _ARRAYS:
        own[name] = None if own[name] is None else np.asarray(own[name], dtype=np.float32)
    own["token_ids"] = tuple(own["token_ids"])
    own["tool_calls"] = tuple(ToolCall(**call) for call in own["tool_calls"])
    own["logprobs"] = None if own["logprobs"] is None else tuple(own["logprobs"])
    own["failure"] = None if own["failure"] is None else Failure(**own["failure"])
    own["chosen"] = {
        name: np.asarray(value, dtype=np.float32) if isinstance(value, list) else value
        for name, value in own["chosen"].items()
    }
    return Reply(**own)


def _fields(reply: Reply) -> dict[str, Any]:
    own = {name: getattr(reply, name) for name in Reply.__dataclass_fields__}
    calls = [call.model_dump() for call in reply.tool_calls]
    return {**own, "tool_calls": calls, "failure": None if reply.failure is None else asdict(reply.failure)}


def _as_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _as_plain(each) for name, each in value.items()}
    return value


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
