"""The conversations that were kept, to go back to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from telic.server.dashboard.elements import box, text
from telic.server.dashboard.mounting import PATH
from telic.server.store import Summary

__all__ = ["Sidebar"]

LONGEST = 80
"""Characters of what a conversation began with."""


class Sidebar:
    """A list of links."""

    def __init__(self) -> None:
        with box("nav", "sidebar", aria_labelledby="conversations"):
            text("Conversations", "h2", id="conversations")
            text("New conversation", "a", "new", href=f"{PATH}/")
            self._list = box("ul")

    def show(self, found: Sequence[Summary], current: str | None) -> None:
        """Show conversations, and which one is open."""
        self._list.clear()
        with self._list:
            for one in found:
                opening = " ".join(one.opening.split())[:LONGEST] or "(empty)"
                here = {"aria_current": "page"} if one.conversation == current else {}
                with box("li"), box("a", href=f"{PATH}/c/{one.conversation}", **here):
                    text(opening, "span", "opening")
                    text(f"{_when(one.updated)} · {one.length} turns", "span", "hint")
            if not found:
                text("None yet.", "li", "hint")


def _when(time: float) -> str:
    then, now = datetime.fromtimestamp(time).astimezone(), datetime.now().astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
