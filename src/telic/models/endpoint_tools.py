"""Tools in the chat-completions wire format: definitions and the choice out, calls in, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from telic.dialogue import ToolCall
from telic.models.request import Request

__all__ = ["StreamedCalls", "read_calls", "tool_options"]


def tool_options(request: Request) -> dict[str, Any]:
    """Return the arguments of the client's `chat.completions.create` that are about tools; none without tools."""
    if not request.tools:
        return {}
    options: dict[str, Any] = {"tools": [tool.as_dict() for tool in request.tools]}
    if request.tool_choice in ("none", "required"):
        options["tool_choice"] = request.tool_choice
    elif request.tool_choice != "auto":  # the default, which some servers do not know by name
        options["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
    return options


def read_calls(calls: Any) -> tuple[ToolCall, ...]:
    """Read the calls of a message. Servers differ: some give no id, some give the arguments as an object.

    Raises:
        AttributeError, LookupError, TypeError: they have no form of calls.
    """
    return tuple(_call(number, call.get("id"), call["function"]) for number, call in enumerate(calls or (), 1))


def _call(number: int, name: Any, function: dict[str, Any]) -> ToolCall:
    arguments = function.get("arguments") or "{}"
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=str(name or f"call{number:05d}"), name=str(function["name"]), arguments=written)


@dataclass(slots=True)
class _StreamedCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class StreamedCalls:
    """The calls of a reply of which some chunks have come."""

    _calls: dict[int, _StreamedCall] = field(default_factory=dict)

    def add(self, deltas: Iterable[Any] | None) -> None:
        """Add the parts of calls in a chunk."""
        for delta in deltas or ():
            call = self._calls.setdefault(delta.index if delta.index is not None else len(self._calls), _StreamedCall())
            call.id = delta.id or call.id
            if delta.function is not None:
                call.name += delta.function.name or ""
                call.arguments += delta.function.arguments or ""

    def complete(self) -> tuple[ToolCall, ...]:
        """Return the calls."""
        parts = (call for _, call in sorted(self._calls.items()))
        return read_calls([{"id": one.id, "function": {"name": one.name, "arguments": one.arguments}} for one in parts])
