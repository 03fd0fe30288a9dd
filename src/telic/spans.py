"""Where each message lies in what a chat template writes, found without knowledge of the template.

The dialogue is rendered a second time with a unique marker in place of each content. The text between the markers is
the template's own, so each content lies between the same pieces of the real rendering, even if the template trims or
rewrites it. The ends of the turns come from renderings of the first messages of the marked dialogue. A message that
only calls tools has the marker in the place of the first tool's name.
"""

from __future__ import annotations

import json
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

__all__ = ["Row", "Span", "SpanFinder", "TemplateRefusalError", "marks", "tokens_of"]

Row = dict[str, Any]
"""A message as a template takes it."""

KNOWN_PIECES = 1024
"""Largest number of orders of speakers for which a template keeps its own text."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range [start, end)."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


class TemplateRefusalError(Exception):
    """The template raised."""


Apply = Callable[[Sequence[Row], bool, Sequence[Row]], str]
"""Renders messages, with or without the opening of the reply, with definitions of tools.

Raises:
    TemplateRefusalError: the template raised.
"""


@dataclass(frozen=True, slots=True)
class _Piece:
    lead: str
    """The template's text before a content, since the content before it."""
    following: str
    """The template's text up to the next content."""
    closing: int
    """Characters of `following` that close this content's turn."""


class SpanFinder:
    """Finds the contents and turns of messages in the renderings of one template.

    Args:
        apply: renders with the template.
    """

    def __init__(self, apply: Apply) -> None:
        self._apply = apply
        self._known_pieces: dict[tuple[Any, ...], list[tuple[int, _Piece]]] = {}

    def find(
        self, rows: Sequence[Row], text: str, reply: bool, tools: Sequence[Row] = ()
    ) -> tuple[list[Span], list[Span], bool]:
        """Return the character spans of contents and turns, and whether all other text is known to be the template's.

        The spans of a message that the template leaves out are empty.

        Args:
            rows: the messages.
            text: what the template writes for them.
            reply: whether that has the opening of the reply.
            tools: the definitions that it was rendered with.

        Raises:
            TemplateRefusalError: the template raised.
        """
        contents, turns = [Span(0, 0)] * len(rows), [Span(0, 0)] * len(rows)
        cursor = turn_start = 0  # everything before it is assigned to a message
        pieces = self._pieces(rows, reply, tools)
        rewritten: list[str] | None = None
        exact = True
        for index, piece in pieces:
            begin = text.find(piece.lead, cursor)
            exact = exact and begin == cursor
            begin = cursor if begin < 0 else begin + len(piece.lead)
            end = _content_end(text, begin, _slot(rows[index]), piece.following)
            if end is None:
                rewritten = self._rewritten(rows, pieces, reply, tools) if rewritten is None else rewritten
                end = _content_end(text, begin, rewritten[index], piece.following)
            if end is None:
                exact = False
                end = text.find(piece.following, begin) if piece.following else -1
            cursor = end if end >= 0 else len(text)
            contents[index] = Span(begin, cursor)
            turns[index] = Span(turn_start, cursor + piece.closing)
            turn_start = turns[index].end
        return contents, turns, exact and (not pieces or text[cursor:] == pieces[-1][1].following)

    def _rewritten(
        self, rows: Sequence[Row], pieces: list[tuple[int, _Piece]], reply: bool, tools: Sequence[Row]
    ) -> list[str]:
        """Return what the template makes of each content, as far as a mark after each content shows."""
        after = marks(len(rows), _secret_word())  # no content can hold them
        texts = [_slot(row) for row in rows]
        marked = [_with_slot(row, text + mark) for row, text, mark in zip(rows, texts, after, strict=True)]
        shown, cursor = self._apply(marked, reply, tools), 0
        for index, piece in pieces:
            begin = cursor + len(piece.lead)
            end = shown.find(after[index], begin)
            if end < 0 or not shown.startswith(piece.lead, cursor):
                break
            texts[index], cursor = shown[begin:end], end + len(after[index])
        return texts

    def _pieces(self, rows: Sequence[Row], reply: bool, tools: Sequence[Row]) -> list[tuple[int, _Piece]]:
        """Return the template's text around each content. It depends on the speakers and on the tools, so it is kept.

        The pieces are in the order of the text, which may differ from the dialogue's: some templates put the system
        prompt before the last message.
        """
        key = (reply, json.dumps(list(tools)) if tools else "", *map(_speaker, rows))
        if key in self._known_pieces:
            return self._known_pieces[key]
        placed = marks(len(rows))
        if any(mark in part for part in map(str, key) for mark in placed):  # what a model or a client wrote, in a call
            placed = marks(len(rows), _secret_word())
        marked = [_with_slot(row, mark) for row, mark in zip(rows, placed, strict=True)]
        skeleton = self._apply(marked, reply, tools)
        found = sorted((skeleton.find(mark), index) for index, mark in enumerate(placed) if mark in skeleton)
        pieces: list[tuple[int, _Piece]] = []
        read = 0
        for place, (at, index) in enumerate(found):
            lead, read = skeleton[read:at], at + len(placed[index])
            following = skeleton[read : found[place + 1][0] if place + 1 < len(found) else len(skeleton)]
            closing = self._closing(marked[: index + 1], placed[index], following, tools)
            pieces.append((index, _Piece(lead, following, closing)))
        if len(self._known_pieces) >= KNOWN_PIECES:  # clients of a server may send any order of speakers
            self._known_pieces.clear()
        self._known_pieces[key] = pieces
        return pieces

    def _closing(self, beginning: Sequence[Row], mark: str, following: str, tools: Sequence[Row]) -> int:
        """Return how many characters of the template's text after a content belong to the content's turn."""
        try:
            text = self._apply(beginning, False, tools)
        except TemplateRefusalError:
            return 0
        at = text.find(mark)
        return len(commonprefix([text[at + len(mark) :], following])) if at >= 0 else 0


def marks(count: int, word: str = "mark") -> list[str]:
    """Return different words. No template tests for them, and filters do not change plain letters."""
    return [f"Qz{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}{word}" for i in range(count)]


def tokens_of(span: Span, starts: Sequence[int], ends: Sequence[int]) -> Span:
    """Return the span of tokens that overlap a range of characters; empty for an empty range.

    Args:
        span: the characters.
        starts: where each token begins.
        ends: where each token ends.
    """
    first, last = bisect_right(ends, span.start), bisect_left(starts, span.end)
    return Span(first, last) if span.end > span.start and last > first else Span(0, 0)


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def _secret_word() -> str:
    """Return a word of plain letters that nobody can guess."""
    return secrets.token_hex(8).translate(_LETTERS)


def _slot(row: Row) -> str:
    """Return what a message's mark stands for: its content, or the first tool's name if it only calls tools."""
    only_calls = not row["content"] and row.get("tool_calls")
    return str(row["tool_calls"][0]["function"]["name"] if only_calls else row["content"])


def _with_slot(row: Row, text: str) -> Row:
    if row["content"] or not row.get("tool_calls"):
        return {**row, "content": text}
    first, *others = row["tool_calls"]
    return {**row, "tool_calls": [{**first, "function": {**first["function"], "name": text}}, *others]}


def _speaker(row: Row) -> tuple[Any, ...]:
    """Return what a template may write around a content for."""
    calls = row.get("tool_calls")
    told = (json.dumps(calls), bool(row["content"])) if calls else ()
    return row["role"], row.get("name"), row.get("tool_call_id"), *told


def _content_end(text: str, begin: int, content: str, following: str) -> int | None:
    """Find the end of a content, as it was given or trimmed; None if the template's next piece does not follow."""
    for candidate in (content, content.strip(), content.rstrip(), content.lstrip()):
        if text.startswith(candidate, begin) and text.startswith(following, begin + len(candidate)):
            return begin + len(candidate)
    return None
