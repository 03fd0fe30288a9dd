"""The list of the user's conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from telic.server.dashboard.elements import box, text
from telic.server.dashboard.paths import PATH
from telic.server.records import ConversationSummary

__all__ = ["Sidebar"]

OPENING_LENGTH = 80
"""Characters shown of a conversation's first message."""


class Sidebar:
    """A list of links to conversations."""

    def __init__(self) -> None:
        with box("nav", "sidebar", aria_labelledby="conversations"):
            text("Conversations", "h2", id="conversations")
            text("New conversation", "a", "new", href=f"{PATH}/")
            self._list = box("ul")

    def show(self, summaries: Sequence[ConversationSummary], current: str | None) -> None:
        """Show conversations, and mark the one that is open."""
        self._list.clear()
        with self._list:
            for one in summaries:
                opening = " ".join(one.opening.split())[:OPENING_LENGTH] or "(empty)"
                current_page = {"aria_current": "page"} if one.conversation == current else {}
                with box("li"), box("a", href=f"{PATH}/c/{one.conversation}", **current_page):
                    text(opening, "span", "opening")
                    text(f"{_format_time(one.updated)} · {one.length} turns", "span", "hint")
            if not summaries:
                text("None yet.", "li", "hint")


def _format_time(time: float) -> str:
    local, now = datetime.fromtimestamp(time).astimezone(), datetime.now().astimezone()
    return f"{local:%H:%M}" if local.date() == now.date() else f"{local:%Y-%m-%d %H:%M}"
