"""How a model writes calls of tools in its text: each template's own way, and a plain one for templates without.

The way of a template is read off its rendering of a marked call, so no family of models is named here: the text before
the call (`<tool_call>`, `[TOOL_CALLS]`, or none), the key of the arguments, and the text after it. A call is a JSON
object with a name and arguments. A template that writes calls in another form gets the plain way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from telic.dialogue import Message, ToolCall, ToolDefinition

__all__ = ["TEXT_SYNTAX", "ToolSyntax", "count_calls", "describe_tools", "result_text", "safe_result", "syntax_of"]

_KEYS = ("arguments", "parameters")
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]*)"')
_FENCED = re.compile(r"```(?:json)?\s*")


@dataclass(frozen=True, slots=True)
class ToolSyntax:
    """How calls are written."""

    opening: str = "<tool_call>"
    """Text before a call; empty if a call begins with its JSON."""
    closing: str = "</tool_call>"
    """Text after a call; may be empty."""
    key: str = "arguments"
    """The key of the arguments."""
    listed: bool = False
    """Whether the calls of a message are one JSON list after one opening."""

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Write calls as a model does."""
        objects = [f'{{"name": {json.dumps(call.name)}, "{self.key}": {_as_json(call)}}}' for call in calls]
        if self.listed:
            objects = [f"[{', '.join(objects)}]"]
        return "\n".join("\n".join(filter(None, (self.opening, one, self.closing))) for one in objects)

    def content_length(self, text: str) -> int:
        """Return how many characters of a growing reply are certainly what it says, and no part of a call."""
        if _may_be_bare(text):
            return 0
        at = text.find(self.opening) if self.opening else -1
        if at < 0:  # its end may be the beginning of an opening
            at = next((i for i in range(max(0, len(text) - len(self.opening) + 1), len(text))
                       if self.opening.startswith(text[i:])), len(text))  # fmt: skip
        return len(text[:at].rstrip())

    def read(self, text: str, tools: Iterable[ToolDefinition], number: int = 0) -> tuple[str, tuple[ToolCall, ...]]:
        """Split a complete reply into what it says and its calls.

        A call that is cut off or malformed is a call too, so that the model learns of its mistake. Small models often
        leave the opening out: a reply that is nothing but the JSON of a call is read as one.

        Args:
            text: the reply.
            tools: the tools that the model was told of.
            number: calls before it in the dialogue, so that no two have the same id.
        """
        names = {tool.name for tool in tools}
        at = text.find(self.opening) if self.opening else -1
        if at >= 0:
            found = [one for part in text[at:].split(self.opening)[1:] for one in self._calls_in(part)]
            content = text[:at].rstrip()
        else:
            found, content = self._bare_calls(text, names)
        calls = (ToolCall(id=f"call{number + i:05d}", name=name, arguments=a) for i, (name, a) in enumerate(found, 1))
        return content, tuple(calls)

    def _calls_in(self, part: str) -> list[tuple[str, str]]:
        """Read what stands between an opening and the next: name and arguments of each call."""
        part = part.partition(self.closing)[0] if self.closing else part
        objects = _objects(part)
        return [_name_and_arguments(one) for one in objects] if objects else [_malformed(part)]

    def _bare_calls(self, text: str, names: set[str]) -> tuple[list[tuple[str, str]], str]:
        if _may_be_bare(text):
            found = [_name_and_arguments(one) for one in _objects(_FENCED.sub("", text, count=1))]
            if found and all(name in names for name, _ in found):
                return found, ""
        return [], text


TEXT_SYNTAX = ToolSyntax()
"""The plain way: Hermes' format, which many small models have seen."""


def count_calls(messages: Iterable[Message]) -> int:
    """Count the calls in a dialogue."""
    return sum(len(message.tool_calls) for message in messages)


def describe_tools(tools: Sequence[ToolDefinition]) -> str:
    """Describe tools in the system prompt of a model whose template does not."""
    listed = "\n".join(json.dumps(tool.model_dump(), ensure_ascii=False) for tool in tools)
    example = f'{TEXT_SYNTAX.opening}\n{{"name": "...", "arguments": {{...}}}}\n{TEXT_SYNTAX.closing}'
    return (
        f"You can call these tools, one JSON object each:\n{listed}\n\nTo call a tool, write nothing but this:\n"
        f"{example}\nThe result comes in the next message. Never make a result up."
    )


def result_text(content: str) -> tuple[str, int]:
    """Write a result for a model whose template does not; returns the text, and where the content begins in it."""
    opening = "<tool_response>\n"
    return f"{opening}{content}\n</tool_response>", len(opening)


def safe_result(content: str) -> str:
    r"""Return a result that cannot end its own message: in JSON, `<\/` means the same as `</`."""
    return content.replace("</tool_response", "<\\/tool_response")


def syntax_of(written: str, name: str, key: str, value: str, end: str) -> ToolSyntax | None:
    """Read a syntax off a template's rendering of one call.

    Args:
        written: what the template writes as the assistant's message.
        name: the name of the call.
        key: the one key of its arguments.
        value: its value, a text.
        end: what the template writes after a message.

    Returns:
        The syntax; None if the template does not write calls as JSON.
    """
    call = re.search(
        rf'(\[?)\s*\{{\s*"name":\s*"{name}",\s*"({"|".join(_KEYS)})":\s*\{{\s*"{key}":\s*"{value}"\s*\}}', written
    )
    if call is None:
        return None
    closing = written[call.end() :].removesuffix(end)
    listed = bool(call[1])
    # A list may hold the id of each call too; what follows the object is the template's closing.
    closing = closing.rpartition("]")[2] if listed else closing.partition("}")[2]
    return ToolSyntax(written[: call.start()].strip(), closing.strip(), call[2], listed)


def _may_be_bare(text: str) -> bool:
    """Whether a text begins as the JSON of a call."""
    begun = text.lstrip()
    return begun.startswith(("{", "[{", "```")) or begun in ("[", "`", "``")


def _objects(text: str) -> list[dict[str, Any]]:
    """Read the JSON objects at the beginning of a text: one after the other, or in a list."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while (at := _next(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in values):
            break
        found += values
    return found


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n;,":
        at += 1
    return at


def _name_and_arguments(call: dict[str, Any]) -> tuple[str, str]:
    arguments: Any = next((call[key] for key in _KEYS if key in call), {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return _encodable(call["name"]), _encodable(text)


def _encodable(text: str) -> str:
    r"""Write half of a surrogate pair as JSON does, `\ud83d`: nothing that sends or stores texts takes it as it is."""
    return text.encode("utf-8", "backslashreplace").decode()


def _malformed(part: str) -> tuple[str, str]:
    """Return what can be told of a call that is no JSON: its name if it shows, and its text as the arguments."""
    name = _NAME.search(part)
    return (name[1] if name else ""), part.strip()


def _as_json(call: ToolCall) -> str:
    """Return the arguments as they stand within a call: as they are if they are JSON, else as a text."""
    try:
        json.loads(call.arguments)
    except (ValueError, RecursionError):
        return json.dumps(call.arguments, ensure_ascii=False)
    return call.arguments
