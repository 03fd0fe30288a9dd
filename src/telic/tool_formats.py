"""Calls of tools in the formats of other tools: OpenAI's field `tool_calls`, and ShareGPT's texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from telic.dialogue import Message, ToolCall
from telic.tool_syntax import TEXT_SYNTAX

__all__ = ["RecordError", "calls_of_turns", "read_calls"]

_RESPONSE = ("<tool_response>", "</tool_response>")


class RecordError(Exception):
    """An error in one record, without its place; `telic.formats.read_dialogues` adds the file and the line."""


def read_calls(value: Any, where: str) -> tuple[ToolCall, ...]:
    """Read OpenAI's `tool_calls`; some tools write the arguments as an object.

    Raises:
        RecordError: it is not a list of calls.
    """
    if value is None:
        return ()
    expected = 'expected a list such as [{"id": "...", "function": {"name": "...", "arguments": "{...}"}}]'
    if not isinstance(value, list):
        raise RecordError(f"{where}: found {value!r:.60}, {expected}")
    calls = []
    for index, call in enumerate(value):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RecordError(f"{where}[{index}]: found {call!r:.60}, {expected}")
        arguments = function.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append(ToolCall(id=str(call.get("id") or f"call{index + 1:05d}"), name=function["name"], arguments=text))
    return tuple(calls)


def calls_of_turns(messages: Iterable[Message]) -> list[Message]:
    """Read the calls that ShareGPT's turns hold as text, and link each result to its call by their order."""
    read: list[Message] = []
    number, open_calls = 0, list[ToolCall]()
    for message in messages:
        if message.role == "assistant" and TEXT_SYNTAX.opening in message.content:
            content, calls = TEXT_SYNTAX.read(message.content, (), number)
            number, open_calls = number + len(calls), list(calls)
            read.append(message.model_copy(update={"content": content, "tool_calls": calls}))
        elif message.role == "tool":
            content = message.content.strip().removeprefix(_RESPONSE[0]).removesuffix(_RESPONSE[1]).strip()
            call = open_calls.pop(0).id if open_calls else message.tool_call_id
            read.append(message.model_copy(update={"content": content, "tool_call_id": call}))
        else:
            read.append(message)
    return read
