"""Tools in OpenAI's requests and responses: definitions, the choice, calls and their results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from openai.types.chat import ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall, ChoiceDeltaToolCallFunction
from openai.types.chat.chat_completion_message_function_tool_call import Function
from pydantic import BaseModel, ConfigDict, Field, field_validator

from telic.dialogue import Message, ToolCall, ToolDefinition

__all__ = ["CallPart", "NamedChoice", "ToolPart", "call_deltas", "result_problem", "wire_calls"]

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Function(_Part):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _TOOL_NAME.fullmatch(name) or name in ("auto", "none", "required"):
            raise ValueError("expected 1 to 64 letters, digits, _ or -, and none of auto, none and required")
        return name


class ToolPart(_Part):
    """A tool that the client carries out."""

    type: Literal["function"]
    function: _Function

    @property
    def definition(self) -> ToolDefinition:
        """The tool as a `telic.dialogue.ToolDefinition`."""
        own = {"parameters": self.function.parameters} if self.function.parameters is not None else {}
        return ToolDefinition(name=self.function.name, description=self.function.description or "", **own)


class _Named(_Part):
    name: str


class NamedChoice(_Part):
    """The choice of one tool."""

    type: Literal["function"]
    function: _Named


class _CalledFunction(_Part):
    name: str
    arguments: str = "{}"


class CallPart(_Part):
    """A call in an earlier message of the assistant."""

    id: str = Field(min_length=1, max_length=200)
    type: Literal["function"] = "function"
    function: _CalledFunction

    @property
    def call(self) -> ToolCall:
        """The call as a `telic.dialogue.ToolCall`."""
        return ToolCall(id=self.id, name=self.function.name, arguments=self.function.arguments)


def result_problem(messages: Sequence[Message]) -> str:
    """Return what is wrong with the results among messages; empty if each belongs to a call before it."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                found = f"tool_call_id is {message.tool_call_id!r}"
                return f"messages.{index}: {found}; expected the id of a call in the assistant's message before it"
            open_calls.discard(message.tool_call_id)
        else:
            open_calls = {call.id for call in message.tool_calls}
    return ""


def wire_calls(calls: Sequence[ToolCall]) -> list[ChatCompletionMessageFunctionToolCall]:
    """Write calls as a response has them."""
    return [
        ChatCompletionMessageFunctionToolCall(
            id=call.id, type="function", function=Function(name=call.name, arguments=call.arguments)
        )
        for call in calls
    ]


def call_deltas(calls: Sequence[ToolCall]) -> list[ChoiceDeltaToolCall]:
    """Write calls as a chunk of a streamed response has them."""
    return [
        ChoiceDeltaToolCall(
            index=index,
            id=call.id,
            type="function",
            function=ChoiceDeltaToolCallFunction(name=call.name, arguments=call.arguments),
        )
        for index, call in enumerate(calls)
    ]
