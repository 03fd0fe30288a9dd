"""Grammars of calls of tools: a reply that begins a call keeps to a tool's name and the schema of its arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from telic.dialogue import ToolDefinition
from telic.errors import ConfigError
from telic.models.grammars import JSON_STYLE, GrammarCache
from telic.models.request import Request
from telic.models.response_format import ResponseFormat
from telic.tool_syntax import ToolSyntax

__all__ = ["call_formats", "reply_format"]


def reply_format(request: Request, syntax: ToolSyntax, grammars: GrammarCache) -> ResponseFormat | None:
    """Find what a reply must keep to: its calls, its response format, or both; None if nothing. It is compiled then.

    Raises:
        ConfigError: the response format is wrong; or calls are required, and no grammar of the tools can be compiled.
    """
    if not request.may_call_tools:
        if request.response_format is not None:
            grammars.check(request.response_format)
        return request.response_format
    problem: ConfigError | None = None
    for tried in call_formats(request, syntax):
        try:
            grammars.check(tried)
            return tried
        except ConfigError as error:  # of a schema that no grammar can express: the tool checks the arguments itself
            problem = problem or error
    if problem is not None and (request.response_format is not None or request.tool_choice != "auto"):
        raise problem
    return None


def call_formats(request: Request, syntax: ToolSyntax) -> Iterator[ResponseFormat]:
    """Yield what the reply to a request with tools must keep to, the strictest first."""
    tools = [tool for tool in request.tools if request.tool_choice in ("auto", "required", tool.name)]
    for strict in (True, False):
        schema = _call_schema(tools, syntax.key, strict=strict)
        call = f"%json {schema}" if not syntax.listed else f'"[" %json {schema} (", " %json {schema})* "]"'
        # An opening that may be a special token is left to the model; a call without one is read too.
        closed = f"{json.dumps(syntax.closing)}" if syntax.closing else ""
        opened = json.dumps(syntax.opening) if syntax.closing else ""
        rest = rf"/\n?/ {call} /\n?/ {closed}" if closed else call
        answer = request.response_format
        try:
            if request.tool_choice != "auto":
                yield ResponseFormat.lark(f"start: {opened} {rest}")
            elif answer is not None:
                if answer.is_json:
                    yield ResponseFormat.lark(f"start: {opened} {rest} | {_json(answer.schema)}")
                else:
                    yield answer
            elif opened:
                yield ResponseFormat.lark(f"start: {rest}", trigger=syntax.opening)
            elif not syntax.opening:
                yield ResponseFormat.lark(rf"start: {call} | /[^{{\[`\s](.|\n)*/")
        except ConfigError:  # longer than a format may be
            continue


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': JSON_STYLE})}"


def _call_schema(tools: Sequence[ToolDefinition], key: str, *, strict: bool) -> str:
    """Return the schema of a call of one of the tools.

    Args:
        tools: the tools.
        key: the key of the arguments.
        strict: whether the arguments keep to the tool's schema; else they are any object.
    """
    shared: dict[str, Any] = {}
    calls = []
    for number, tool in enumerate(tools):
        arguments = {"type": "object", **_own_names(tool.parameters, number, shared)} if strict else {"type": "object"}
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, key: arguments},
                "required": ["name", key],
                "additionalProperties": False,
            }
        )
    return json.dumps({"anyOf": calls, "x-guidance": JSON_STYLE} | ({"$defs": shared} if shared else {}))


def _own_names(schema: dict[str, Any], number: int, shared: dict[str, Any]) -> dict[str, Any]:
    """Move a tool's shared definitions to the whole schema, under names of its own; return the rest."""
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, dict):  # no schema; whoever compiles it says so
        return schema
    rest: dict[str, Any] = _renamed({name: value for name, value in schema.items() if name != "$defs"}, number)
    shared.update({f"{number}_{name}": _renamed(value, number) for name, value in definitions.items()})
    return rest


def _renamed(value: Any, number: int) -> Any:
    if isinstance(value, list):
        return [_renamed(one, number) for one in value]
    if not isinstance(value, dict):
        return value
    start = "#/$defs/"
    return {
        name: f"{start}{number}_{one.removeprefix(start)}"
        if name == "$ref" and isinstance(one, str) and one.startswith(start)
        else _renamed(one, number)
        for name, one in value.items()
    }
