"""Rendering of chat templates, with the exact span of every message in characters and in tokens.

`telic.spans` finds the spans without knowledge of the template. What lies outside the contents is the template's own,
so only control tokens there count (`telic.encoding`). The same holds for tools: their definitions and the arguments of
calls stand within the template's own text, where a control token in them would count. There, each is replaced by
characters of no meaning while the template writes, so that it is known where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from telic.dialogue import Message, ToolDefinition
from telic.encoding import Range, TextEncoder
from telic.errors import ModelError
from telic.folding import Folded, fold
from telic.masking import ControlMask
from telic.spans import Row, Span, SpanFinder, TemplateRefusalError, marks, tokens_of
from telic.tool_syntax import TEXT_SYNTAX, ToolSyntax, syntax_of

__all__ = ["PLAIN_TEMPLATE", "Rendering", "Span", "Template"]

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['role'].capitalize() + ': ' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""The template of models that have none: `Role: content` paragraphs."""


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
        self._finder = SpanFinder(self._apply)

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message appears in the rendering."""
        return self._takes("system", "user")

    @cached_property
    def takes_assistant_first(self) -> bool:
        """Whether a dialogue may begin with an assistant message."""
        return self._takes(*(("system",) if self.takes_system else ()), "assistant", "user")

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the template writes definitions, calls and results of tools. If not, they are written as text."""
        return self._own_syntax is not None

    @property
    def tool_syntax(self) -> ToolSyntax:
        """How the model writes calls of tools."""
        return self._own_syntax or TEXT_SYNTAX

    @cached_property
    def _own_syntax(self) -> ToolSyntax | None:
        """The template's own way to write calls; None if it has none, or loses definitions, calls or results."""
        [asked, described, name, value, result, end] = marks(6)
        tools, rows = _marked_tools(described), _marked_turns(asked, name, value, result)
        try:
            opened = self._apply(rows[:1], True, tools)
            called = self._apply(rows[:2], False, tools)
            plain = self._apply([*rows[:1], {"role": "assistant", "content": end}], False, tools)
            whole = self._apply(rows, True, tools)
        except TemplateRefusalError:
            return None
        if described not in opened or result not in whole or not called.startswith(opened):
            return None
        return syntax_of(called[len(opened) :], name, _KEY, value, plain.rpartition(end)[2])

    @cached_property
    def encoder(self) -> TextEncoder:
        """The tokenizer, for texts in which no control token counts, such as a choice."""
        samples: list[tuple[list[Row], list[Row]]] = []
        for roles in (("system", "user"), ("user", "assistant", "user"), ("user", "assistant", "tool")):
            marked = zip(roles, marks(len(roles)), strict=True)
            samples.append(([{"role": role, "content": mark} for role, mark in marked], []))
        if self.takes_tools:
            samples.append((_marked_turns(*marks(4)), _marked_tools("")))
        own = []
        for rows, tools in samples:
            with suppress(TemplateRefusalError):
                own.append(self._apply(rows, True, tools))
        return TextEncoder(self.tokenizer, "\n".join(own))

    def _refuse_controls(self, rows: Sequence[Row], exact: bool) -> None:
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
                        "chat template does not show where it ends; remove it",
                        "template_refusal",
                    )

    def _takes(self, *roles: str) -> bool:
        words = marks(len(roles))
        try:
            text = self._apply([{"role": r, "content": m} for r, m in zip(roles, words, strict=True)], True)
        except TemplateRefusalError:
            return False
        return all(word in text for word in words)

    def text(self, messages: Sequence[Message], tools: Sequence[ToolDefinition] = ()) -> str:
        """Render messages, with the opening of the assistant's reply, but not into tokens, which is what takes time.

        Raises:
            ModelError: the template refuses these messages.
        """
        try:
            return self._apply(self._fold(messages, tools).rows, True, self._definitions(tools))
        except TemplateRefusalError as refusal:
            raise ModelError(f"the chat template refuses a dialogue: {refusal}", "template_refusal") from refusal

    def render(
        self, messages: Sequence[Message], *, reply: bool = True, tools: Sequence[ToolDefinition] = ()
    ) -> Rendering:
        """Render messages.

        Args:
            messages: the dialogue.
            reply: whether to append the opening of the assistant's reply.
            tools: the tools that the model may call.

        Raises:
            ModelError: the template refuses these messages; the message quotes its reason.
        """
        if not messages:
            raise ModelError("there are no messages to render; add a system prompt or a user message")
        folded = self._fold(messages, tools)
        rows, definitions, mask = self._masked(folded.rows, self._definitions(tools))
        try:
            text = self._apply(rows, reply, definitions)
            contents, turns, exact = self._finder.find(rows, text, reply, definitions)
        except TemplateRefusalError as refusal:
            roles = ", ".join(message.role for message in messages)
            raise ModelError(
                f"the chat template refuses a dialogue of [{roles}]: {refusal}", "template_refusal"
            ) from refusal
        self._refuse_controls(rows, exact)
        text, masked = mask.unmask(text) if mask else (text, [])
        ids, offsets = self.encoder.encode_around(text, _disjoint([(s.start, s.end) for s in contents], masked))
        contents, turns = folded.unfold(contents, turns, text)
        starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
        return Rendering(
            text=text,
            token_ids=tuple(ids),
            turns=tuple(tokens_of(span, starts, ends) for span in turns),
            contents=tuple(tokens_of(span, starts, ends) for span in contents),
            messages=tuple(messages),
            system_folded=messages[0].role == "system" and not self.takes_system,
            token_texts=tuple(text[start:end] for start, end in offsets),
        )

    def _fold(self, messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> Folded:
        """Write what the template does not take into what it does."""
        calls = (tools or any(one.tool_calls or one.role == "tool" for one in messages)) and not self.takes_tools
        return fold(messages, tools if calls else (), system=not self.takes_system, calls=bool(calls))

    def _definitions(self, tools: Sequence[ToolDefinition]) -> list[Row]:
        return [tool.as_dict() for tool in tools] if tools and self.takes_tools else []

    def _masked(self, rows: list[Row], definitions: list[Row]) -> tuple[list[Row], list[Row], ControlMask | None]:
        """Mask the control tokens in definitions and calls, if there are any of either."""
        calls = [row["tool_calls"] for row in rows if "tool_calls" in row]
        if not calls and not definitions:
            return rows, definitions, None
        mask = ControlMask(self.encoder, [*calls, definitions], [row["content"] for row in rows])
        rows = [{**row, "tool_calls": mask.mask(row["tool_calls"])} if "tool_calls" in row else row for row in rows]
        return rows, mask.mask(definitions), mask

    def render_user_turn(self, messages: Sequence[Message], *, tools: Sequence[ToolDefinition] = ()) -> Rendering:
        """Render messages and the opening of the user's next message, for a model that plays the user.

        Raises:
            ModelError: the template refuses these messages, or a user's message after them.
        """
        whole = self.render([*messages, Message(role="user", content=marks(1)[0])], reply=False, tools=tools)
        end = whole.contents[-1].start
        if not len(whole.contents[-1]):
            raise ModelError("the chat template leaves out the user's next message", "template_refusal")
        return replace(
            whole,
            text="".join(whole.token_texts[:end]),
            token_ids=whole.token_ids[:end],
            turns=whole.turns[:-1],
            contents=whole.contents[:-1],
            messages=whole.messages[:-1],
            token_texts=whole.token_texts[:end],
        )

    def _apply(self, rows: Sequence[Row], reply: bool, tools: Sequence[Row] = ()) -> str:
        # A template may raise anything: jinja's errors, or a TypeError for content that it does not expect.
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                list(rows),
                tools=list(tools) or None,
                chat_template=self._source,
                tokenize=False,
                add_generation_prompt=reply,
            )
        except Exception as error:
            raise TemplateRefusalError(str(error)) from error
        return rendered


_KEY = "query"


def _marked_tools(description: str) -> list[Row]:
    parameters = {"type": "object", "properties": {_KEY: {"type": "string", "description": ""}}, "required": [_KEY]}
    return [ToolDefinition(name="find", description=description, parameters=parameters).as_dict()]


def _marked_turns(asked: str, name: str, value: str, result: str) -> list[Row]:
    """Return a dialogue with a call and its result."""
    function = {"name": name, "arguments": {_KEY: value}}
    call = {"id": "call00001", "type": "function", "function": function}
    return [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result, "tool_call_id": "call00001", "name": name},
    ]


def _disjoint(contents: list[Range], masked: list[Range]) -> list[Range]:
    """Add the masked ranges that lie in no content: a name that stands for a content may be masked too."""
    return [*contents, *(one for one in masked if not any(start <= one[0] < end for start, end in contents))]
