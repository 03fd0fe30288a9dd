"""Rendering of chat templates, with the exact span of every message in characters and in tokens.

It finds the spans without knowledge of the template. It renders the dialogue a second time with a unique marker in
place of each content. The text between the markers is the template's own, so each content lies between the same pieces
of the real rendering, even if the template trims or rewrites it. The ends of the turns come from renderings of the
first messages of the marked dialogue. What lies outside the contents is the template's own, so only control tokens
there count (`telic.encoding`).
"""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os.path import commonprefix
from typing import Any

from telic.dialogue import Message
from telic.encoding import TextEncoder
from telic.errors import ModelError

__all__ = ["PLAIN_TEMPLATE", "Rendering", "Span", "Template"]

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['role'].capitalize() + ': ' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""The template of models that have none: `Role: content` paragraphs."""

KNOWN_PIECES = 1024
"""Largest number of orders of speakers for which a template keeps its own text."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range [start, end)."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


@dataclass(frozen=True)
class Rendering:
    """A dialogue as the model sees it.

    `turns[i]` is the token span of message i with the template's marks around it, `contents[i]` that of its content
    only. A message that the template leaves out has an empty span.
    """

    text: str
    token_ids: tuple[int, ...]
    turns: tuple[Span, ...]
    contents: tuple[Span, ...]
    messages: tuple[Message, ...]
    system_folded: bool = False
    """Whether the system prompt stands in the first user message, because the template takes no system message."""
    token_texts: tuple[str, ...] = field(default=(), repr=False)
    """By token: the characters of `text` that it covers."""

    @cached_property
    def system_turn(self) -> Span:
        """The token span of the system prompt with the template's marks; empty without a system prompt."""
        return self._system(self.turns)

    @cached_property
    def system_content(self) -> Span:
        """The token span of the system prompt's content; empty without a system prompt."""
        return self._system(self.contents)

    def _system(self, spans: tuple[Span, ...]) -> Span:
        if self.messages and self.messages[0].role == "system":
            return spans[0]
        return Span(0, 0)


class Template:
    """A tokenizer's chat template.

    Args:
        tokenizer: a fast tokenizer of `transformers`, which gives character offsets.

    Raises:
        ModelError: the tokenizer gives no offsets.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"tokenizer {type(tokenizer).__name__!r} gives no character offsets, which the spans of messages "
                "need; load the model's fast tokenizer (tokenizer.json)"
            )
        self.tokenizer = tokenizer
        self._source: str | None = None if getattr(tokenizer, "chat_template", None) else PLAIN_TEMPLATE
        self._known_pieces: dict[tuple[tuple[tuple[str, str | None], ...], bool], list[tuple[int, _Piece]]] = {}

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message appears in the rendering."""
        return self._takes("system", "user")

    @cached_property
    def takes_assistant_first(self) -> bool:
        """Whether a dialogue may begin with an assistant message."""
        return self._takes(*(("system",) if self.takes_system else ()), "assistant", "user")

    @cached_property
    def encoder(self) -> TextEncoder:
        """The tokenizer, for texts in which no control token counts, such as a choice."""
        own = []
        for roles in (("system", "user"), ("user", "assistant", "user"), ("user", "assistant", "tool")):
            try:
                marked = zip(roles, _marks(len(roles)), strict=True)
                own.append(self._apply([{"role": role, "content": mark} for role, mark in marked], True))
            except _TemplateRefusalError:
                continue
        return TextEncoder(self.tokenizer, "\n".join(own))

    def _refuse_controls(self, rows: Sequence[dict[str, str]], exact: bool) -> None:
        """Refuse control tokens where they cannot be told from the template's own.

        Args:
            rows: the messages as the template takes them.
            exact: whether it is known where each content begins and ends.
        """
        for row in rows:
            for part in ("name", "content") if not exact else ("name",):
                if part in row and (control := self.encoder.find_control(row[part])):
                    raise ModelError(
                        f"the {part} of a message from {row['role']!r} holds the control token {control!r}, and the "
                        "chat template does not show where it ends; take it out",
                        "template_refusal",
                    )

    def _takes(self, *roles: str) -> bool:
        marks = _marks(len(roles))
        try:
            text = self._apply([{"role": r, "content": m} for r, m in zip(roles, marks, strict=True)], True)
        except _TemplateRefusalError:
            return False
        return all(mark in text for mark in marks)

    def text(self, messages: Sequence[Message]) -> str:
        """Render messages, with the opening of the assistant's reply, but not into tokens, which is what takes time.

        Raises:
            ModelError: the template refuses these messages.
        """
        folded = messages[0].role == "system" and not self.takes_system
        try:
            return self._apply(_fold_system(messages) if folded else [message.as_dict() for message in messages], True)
        except _TemplateRefusalError as refusal:
            raise ModelError(f"the chat template refuses a dialogue: {refusal}", "template_refusal") from refusal

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> Rendering:
        """Render messages.

        Args:
            messages: the dialogue.
            reply: whether to append the opening of the assistant's reply.

        Raises:
            ModelError: the template refuses these messages; the message quotes its reason.
        """
        if not messages:
            raise ModelError("there are no messages to render; add a system prompt or a user message")
        folded = messages[0].role == "system" and not self.takes_system
        rows = _fold_system(messages) if folded else [message.as_dict() for message in messages]
        try:
            text = self._apply(rows, reply)
            contents, turns, exact = self._spans(rows, text, reply)
        except _TemplateRefusalError as refusal:
            roles = ", ".join(message.role for message in messages)
            raise ModelError(
                f"the chat template refuses a dialogue of [{roles}]: {refusal}", "template_refusal"
            ) from refusal
        self._refuse_controls(rows, exact)
        ids, offsets = self.encoder.encode_around(text, [(span.start, span.end) for span in contents])
        if folded:
            contents, turns = _unfold_system(contents, turns, messages, rows, text)
        starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
        return Rendering(
            text=text,
            token_ids=tuple(ids),
            turns=tuple(_tokens_of(span, starts, ends) for span in turns),
            contents=tuple(_tokens_of(span, starts, ends) for span in contents),
            messages=tuple(messages),
            system_folded=folded,
            token_texts=tuple(text[start:end] for start, end in offsets),
        )

    def _apply(self, rows: Sequence[dict[str, str]], reply: bool) -> str:
        # A template may raise anything: jinja's errors, or a TypeError for content that it does not expect.
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                list(rows), chat_template=self._source, tokenize=False, add_generation_prompt=reply
            )
        except Exception as error:
            raise _TemplateRefusalError(str(error)) from error
        return rendered

    def _spans(self, rows: Sequence[dict[str, str]], text: str, reply: bool) -> tuple[list[Span], list[Span], bool]:
        """Return the character spans of contents and turns, and whether all other text is known to be the template's.

        The spans of a message that the template leaves out are empty.
        """
        contents, turns = [Span(0, 0)] * len(rows), [Span(0, 0)] * len(rows)
        cursor = turn_start = 0  # everything before it is assigned to a message
        pieces = self._pieces(tuple((row["role"], row.get("name")) for row in rows), reply)
        rewritten: list[str] | None = None
        exact = True
        for index, piece in pieces:
            begin = text.find(piece.lead, cursor)
            exact = exact and begin == cursor
            begin = cursor if begin < 0 else begin + len(piece.lead)
            end = _content_end(text, begin, rows[index]["content"], piece.following)
            if end is None:
                rewritten = self._rewritten(rows, pieces, reply) if rewritten is None else rewritten
                end = _content_end(text, begin, rewritten[index], piece.following)
            if end is None:
                exact = False
                end = text.find(piece.following, begin) if piece.following else -1
            cursor = end if end >= 0 else len(text)
            contents[index] = Span(begin, cursor)
            turns[index] = Span(turn_start, cursor + piece.closing)
            turn_start = turns[index].end
        return contents, turns, exact and (not pieces or text[cursor:] == pieces[-1][1].following)

    def _rewritten(self, rows: Sequence[dict[str, str]], pieces: list[tuple[int, _Piece]], reply: bool) -> list[str]:
        """Return what the template makes of each content, as far as a mark after each content shows."""
        marks = _marks(len(rows), secrets.token_hex(8).translate(_LETTERS))  # no content can hold them
        texts = [row["content"] for row in rows]
        marked = [{**row, "content": row["content"] + mark} for row, mark in zip(rows, marks, strict=True)]
        shown, cursor = self._apply(marked, reply), 0
        for index, piece in pieces:
            begin = cursor + len(piece.lead)
            end = shown.find(marks[index], begin)
            if end < 0 or not shown.startswith(piece.lead, cursor):
                break
            texts[index], cursor = shown[begin:end], end + len(marks[index])
        return texts

    def _pieces(self, speakers: tuple[tuple[str, str | None], ...], reply: bool) -> list[tuple[int, _Piece]]:
        """Return the template's text around each content. It depends only on the order of speakers, so it is kept.

        The pieces are in the order of the text, which may differ from the dialogue's: some templates put the system
        prompt before the last message.
        """
        if (speakers, reply) in self._known_pieces:
            return self._known_pieces[speakers, reply]
        marks = _marks(len(speakers))
        marked = [
            {"role": role, "content": mark} | ({"name": name} if name else {})
            for (role, name), mark in zip(speakers, marks, strict=True)
        ]
        skeleton = self._apply(marked, reply)
        found = sorted((skeleton.find(mark), index) for index, mark in enumerate(marks) if mark in skeleton)
        pieces: list[tuple[int, _Piece]] = []
        read = 0
        for place, (at, index) in enumerate(found):
            lead, read = skeleton[read:at], at + len(marks[index])
            following = skeleton[read : found[place + 1][0] if place + 1 < len(found) else len(skeleton)]
            closing = self._closing(marked[: index + 1], marks[index], following)
            pieces.append((index, _Piece(lead, following, closing)))
        if len(self._known_pieces) >= KNOWN_PIECES:  # clients of a server may send any order of speakers
            self._known_pieces.clear()
        self._known_pieces[speakers, reply] = pieces
        return pieces

    def _closing(self, beginning: Sequence[dict[str, str]], mark: str, following: str) -> int:
        """Return how many characters of the template's text after a content belong to the content's turn."""
        try:
            text = self._apply(beginning, False)
        except _TemplateRefusalError:
            return 0
        at = text.find(mark)
        return len(commonprefix([text[at + len(mark) :], following])) if at >= 0 else 0


@dataclass(frozen=True, slots=True)
class _Piece:
    lead: str
    """The template's text before a content, since the content before it."""
    following: str
    """The template's text up to the next content."""
    closing: int
    """Characters of `following` that close this content's turn."""


class _TemplateRefusalError(Exception):
    """The template raised."""


def _marks(count: int, word: str = "mark") -> list[str]:
    # No template tests for these words. Filters do not change plain letters.
    return [f"Qz{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}{word}" for i in range(count)]


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


_BETWEEN_FOLDED = "\n\n"


def _fold_system(messages: Sequence[Message]) -> list[dict[str, str]]:
    rows = [message.as_dict() for message in messages[1:]]
    first = next((row for row in rows if row["role"] == "user"), None)
    if first is None:
        rows.insert(0, {"role": "user", "content": messages[0].content})
    else:
        first["content"] = messages[0].content + _BETWEEN_FOLDED + first["content"]
    return rows


def _unfold_system(
    contents: list[Span],
    turns: list[Span],
    messages: Sequence[Message],
    rows: Sequence[dict[str, str]],
    text: str,
) -> tuple[list[Span], list[Span]]:
    """Give the system prompt its own span within the user message that holds it."""
    if len(rows) == len(messages):  # there was no user message to hold it
        return contents, turns
    holder = next(index for index, row in enumerate(rows) if row["role"] == "user")
    whole, content = contents[holder], rows[holder]["content"]
    # The template may have trimmed the two together, as one content.
    trimmed = 0 if content.startswith(text[whole.start : whole.end]) else len(content) - len(content.lstrip())
    length = len(messages[0].content)
    end, rest = (min(whole.end, whole.start + max(0, at - trimmed)) for at in (length, length + len(_BETWEEN_FOLDED)))
    own = [*contents[:holder], Span(rest, whole.end), *contents[holder + 1 :]]
    own_turns = [*turns[:holder], Span(rest, turns[holder].end), *turns[holder + 1 :]]
    return [Span(whole.start, end), *own], [Span(turns[holder].start, rest), *own_turns]


def _content_end(text: str, begin: int, content: str, following: str) -> int | None:
    """Find the end of a content, as it was given or trimmed; None if the template's next piece does not follow."""
    for candidate in (content, content.strip(), content.rstrip(), content.lstrip()):
        if text.startswith(candidate, begin) and text.startswith(following, begin + len(candidate)):
            return begin + len(candidate)
    return None


def _tokens_of(span: Span, starts: Sequence[int], ends: Sequence[int]) -> Span:
    """Return the span of tokens that overlap a range of characters; empty for an empty range."""
    first, last = bisect_right(ends, span.start), bisect_left(starts, span.end)
    return Span(first, last) if span.end > span.start and last > first else Span(0, 0)
