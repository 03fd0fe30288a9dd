"""What a model did with tools, and patches: as text, long ones folded."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui.element import Element

from telic.dialogue import Message, ToolCall
from telic.reports.diffs import diff_lines
from telic.reports.steps import folded_text, step_texts
from telic.server.dashboard.elements import box, text

__all__ = ["show_diff", "show_foldable", "show_steps"]

MOST_LINES = 4000
"""Lines of a patch on a page."""


def show_steps(steps: Sequence[Message], calls: Sequence[ToolCall] = ()) -> None:
    """Show calls of tools and their results.

    Args:
        steps: calls of the speaker's own tools, and their results.
        calls: calls that others carry out.
    """
    asked = [Message(role="assistant", content="", tool_calls=tuple(calls))] if calls else []
    texts = list(step_texts([*steps, *asked]))
    if texts:
        with box("div", "steps", role="group", aria_label="Tools"):
            for one in texts:
                show_foldable(one, "step")


def show_foldable(content: str, classes: str, *, is_open: bool = False) -> Element:
    """Show a text; a long one opens and closes on a click."""
    line, shown = folded_text(content)
    if not line:
        return text(shown, "p", classes)
    with box("details", f"{classes} long") as folded:
        folded.props.set_bool("open", is_open)
        text(line, "summary")
        text(shown, "p")
    return folded


def show_diff(patch: str) -> None:
    """Show a unified diff; its colours are those of the style sheet."""
    lines = list(diff_lines(patch))
    with box("div", "diff scroll", tabindex="0", role="region", aria_label="Patch"):
        for kind, line in lines[:MOST_LINES]:
            text(line or " ", "div", kind)
    if len(lines) > MOST_LINES:
        text(
            f"{len(lines) - MOST_LINES} more lines are not shown; session.json in the run's folder has them.",
            "p",
            "alert",
        )
