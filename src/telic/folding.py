"""Messages that a chat template does not take, written into those that it does.

The system prompt goes into the first user message. Of tools, the definitions go into the system prompt, calls into the
assistant's text, and results into the user's messages. Each message keeps its own span.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from telic.dialogue import Message, ToolCall, ToolDefinition
from telic.spans import Row, Span
from telic.tool_syntax import TEXT_SYNTAX, describe_tools, result_text, safe_result

__all__ = ["Folded", "fold"]

_BETWEEN = "\n\n"


@dataclass(frozen=True, slots=True)
class _Part:
    """What one message became: a range of the content of a row."""

    message: int | None
    """Its index; None for text of no message."""
    text: str
    own: Span
    """The message's content within the text."""


@dataclass(slots=True)
class _FoldedRow:
    row: Row
    parts: list[_Part]

    def join(self, other: _FoldedRow) -> None:
        """Add another row's parts behind the own ones."""
        self.parts = [*self.parts, *other.parts]
        self.row = {**self.row, "content": _BETWEEN.join(part.text for part in self.parts)}

    @property
    def is_plain(self) -> bool:
        """Whether it is one message, as it was."""
        [first, *others] = self.parts
        return not others and first.own == Span(0, len(first.text))


@dataclass(frozen=True, slots=True)
class Folded:
    """The rows of a dialogue, and what became of each message."""

    _rows: tuple[_FoldedRow, ...]
    count: int
    """Number of messages."""

    @property
    def rows(self) -> list[Row]:
        """The messages as the template takes them."""
        return [one.row for one in self._rows]

    def unfold(self, contents: list[Span], turns: list[Span], text: str) -> tuple[list[Span], list[Span]]:
        """Give each message its own spans, from those of the rows.

        Args:
            contents: characters of the content of each row.
            turns: characters of the turn of each row.
            text: the rendering.
        """
        own, own_turns = [Span(0, 0)] * self.count, [Span(0, 0)] * self.count
        for folded, content, turn in zip(self._rows, contents, turns, strict=True):
            parts = [(folded.parts[0], content, turn)] if folded.is_plain else _divide(folded, content, turn, text)
            last: int | None = None
            for part, span, whole in parts:
                if part.message is not None:
                    own[part.message], own_turns[part.message], last = span, whole, part.message
                elif last is not None:  # the definitions of tools belong to the system prompt's turn
                    own_turns[last] = Span(own_turns[last].start, whole.end)
        return own, own_turns


def fold(messages: Sequence[Message], tools: Sequence[ToolDefinition], *, system: bool, calls: bool) -> Folded:
    """Write messages as the template takes them.

    Args:
        messages: the dialogue.
        tools: the definitions to write into the system prompt; none if the template takes them.
        system: whether to write the system prompt into the first user message.
        calls: whether to write calls and results as text.
    """
    rows = [_folded(index, message, calls) for index, message in enumerate(messages)]
    has_system = messages[0].role == "system"
    if tools:
        described = _Part(None, describe_tools(tools), Span(0, 0))
        if has_system:
            rows[0].join(_FoldedRow({}, [described]))
        else:
            rows.insert(0, _FoldedRow({"role": "system", "content": described.text}, [described]))
            has_system = True
    if calls:
        rows = _join_results(rows, messages)
    if system and has_system:
        rows = _fold_system(rows)
    return Folded(tuple(rows), len(messages))


def _folded(index: int, message: Message, calls: bool) -> _FoldedRow:
    row = message.as_dict()
    if calls and message.tool_calls:
        text = "\n".join(filter(None, (message.content, TEXT_SYNTAX.write(message.tool_calls))))
        row = {key: value for key, value in row.items() if key != "tool_calls"} | {"content": text}
        return _FoldedRow(row, [_Part(index, text, Span(0, len(text)))])
    if message.role == "tool":
        row["content"] = content = safe_result(message.content)
        if calls:
            text, start = result_text(content)
            return _FoldedRow(
                {"role": "user", "content": text}, [_Part(index, text, Span(start, start + len(content)))]
            )
    if message.tool_calls:
        row["tool_calls"] = [_template_call(call) for call in message.tool_calls]
    return _FoldedRow(row, [_Part(index, row["content"], Span(0, len(row["content"])))])


def _template_call(call: ToolCall) -> dict[str, Any]:
    """Return a call as templates take it: with the arguments as an object, if they are one."""
    row = call.as_dict()
    with suppress(ValueError):  # a malformed call stays the text that it is
        row["function"]["arguments"] = call.parsed()
    return row


def _join_results(rows: list[_FoldedRow], messages: Sequence[Message]) -> list[_FoldedRow]:
    """Join results with the user's message beside them: many templates refuse two of them in a row."""
    joined: list[_FoldedRow] = []
    for one in rows:
        last = joined[-1] if joined else None
        if last is not None and last.row["role"] == one.row["role"] == "user":
            numbers = [part.message for part in (last.parts[-1], one.parts[0]) if part.message is not None]
            if any(messages[number].role == "tool" for number in numbers):
                last.join(one)
                continue
        joined.append(one)
    return joined


def _fold_system(rows: list[_FoldedRow]) -> list[_FoldedRow]:
    system, *others = rows
    first = next((one for one in others if one.row["role"] == "user"), None)
    if first is None:
        system.row = {**system.row, "role": "user"}
        return rows
    system.join(first)
    first.parts, first.row = system.parts, {**first.row, "content": system.row["content"]}
    return others


def _divide(folded: _FoldedRow, content: Span, turn: Span, text: str) -> list[tuple[_Part, Span, Span]]:
    """Divide the spans of a row among its parts; the text between two parts belongs to the turn of the first."""
    whole = folded.row["content"]
    # The template may have trimmed the parts together, as one content.
    as_given = whole.startswith(text[content.start : content.end])
    trimmed = 0 if as_given else len(whole) - len(whole.lstrip())

    def place(at: int) -> int:
        return min(content.end, content.start + max(0, at - trimmed))

    divided, at = [], 0
    for number, part in enumerate(folded.parts):
        begin = turn.start if number == 0 else place(at)
        own = Span(place(at + part.own.start), place(at + part.own.end))
        at += len(part.text) + len(_BETWEEN)
        end = turn.end if number == len(folded.parts) - 1 else place(at)
        divided.append((part, own, Span(begin, end)))
    return divided
