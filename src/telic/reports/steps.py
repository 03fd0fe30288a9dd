"""Calls of tools and their results, as text: what was called, with what, and what came of it; long ones folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telic.dialogue import Message
from telic.reports.html import Html, details, element

__all__ = ["folded_text", "step_texts", "tool_steps"]

SHORT_CHARACTERS, SHORT_LINES = 300, 6
"""A longer text is folded."""
LONGEST = 20_000
"""Characters of a step that are shown."""
SUMMARY = 80
"""Characters of the line that stands for a folded text."""


def step_texts(steps: Iterable[Message]) -> Iterator[str]:
    """Yield what was said beside calls, each call (`→`), and each result (`←`)."""
    for message in steps:
        if message.role == "tool":
            yield f"← {message.content}"
            continue
        if message.content.strip():
            yield message.content
        yield from (f"→ {call.name} {call.arguments}" for call in message.tool_calls)


def folded_text(text: str) -> tuple[str, str]:
    """Return the line that stands for a long text, and the text, which may be cut; no line if the text is short."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"
    if len(text) <= SHORT_CHARACTERS and text.count("\n") < SHORT_LINES:
        return "", shown
    first = text.split("\n", 1)[0]
    return f"{first[:SUMMARY]} ... ({len(text)} characters)", shown


def tool_steps(steps: Iterable[Message]) -> Html:
    """Return the steps of a turn for a report."""
    shown = []
    for text in step_texts(steps):
        line, body = folded_text(text)
        written = element("div", body, class_="text")
        shown.append(details(line, written) if line else written)
    return element("div", *shown) if shown else Html()
