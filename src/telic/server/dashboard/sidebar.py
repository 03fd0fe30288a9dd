"""The list of the user's conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from telic.server.dashboard.elements import box, button, set_visible, text
from telic.server.dashboard.paths import PATH
from telic.server.records import ConversationSummary

__all__ = ["Sidebar"]

OPENING_LENGTH = 80
"""Characters shown of a conversation's first and last message."""


class Sidebar:
    """A list of links to conversations, with a search.

    Args:
        on_search: called when `words` have changed.
        on_delete: called with the id of a conversation to delete.
    """

    def __init__(self, on_search: Callable[[], Awaitable[None]], on_delete: Callable[[str], Awaitable[None]]) -> None:
        self._on_delete = on_delete
        self.words = ""
        """The words that the list is searched for."""

        async def search(event: Any) -> None:
            self.words = str(event.args)
            await on_search()

        with box("nav", "sidebar", aria_labelledby="conversations"):
            text("Conversations", "h2", id="conversations")
            text("New conversation", "a", "new", href=f"{PATH}/")
            field = box("input", "search", type="search", placeholder="Search", aria_label="Search conversations")
            field.on("input", search, js_handler="(event) => emit(event.target.value)", throttle=0.3)
            self._list = box("ul")

    def show(self, summaries: Sequence[ConversationSummary], current: str | None) -> None:
        """Show conversations, and mark the one that is open."""
        self._list.clear()
        with self._list:
            for one in summaries:
                self._show_one(one, is_current=one.conversation == current)
            if not summaries:
                text("No conversation contains these words." if self.words else "None yet.", "li", "hint")

    def _show_one(self, one: ConversationSummary, *, is_current: bool) -> None:
        opening = _shorten(one.opening) or "(empty)"
        current_page = {"aria_current": "page"} if is_current else {}
        when = datetime.fromtimestamp(one.updated).astimezone()
        with box("li"):
            with box("div", "entry") as entry:
                with box("a", href=f"{PATH}/c/{one.conversation}", title=f"{when:%Y-%m-%d %H:%M:%S}", **current_page):
                    text(opening, "span", "opening")
                    if one.length > 1:
                        text(_shorten(one.closing), "span", "closing hint")
                    facts = [_format_time(when), f"{one.length} turns", *_feedback(one)]
                    text(" · ".join(facts), "span", "hint")
                ask = button(
                    "", lambda: set_asking(True), icon="delete_outline", classes="icon delete",
                    aria_label=f"Delete: {opening}", title="Delete",
                )  # fmt: skip
            with box("div", "confirm", role="group", aria_label=f"Delete for good: {opening}") as confirm:
                text("Delete it, with its branches?")
                button("Delete", partial(self._on_delete, one.conversation), classes="small danger")
                button("Keep", lambda: set_asking(False), classes="small")

        def set_asking(on: bool) -> None:
            set_visible(confirm, on)
            set_visible(ask, not on)
            entry.classes(add="asking" if on else "", remove="" if on else "asking")

        set_visible(confirm, False)


def _shorten(message: str) -> str:
    return " ".join(message.split())[:OPENING_LENGTH]


def _feedback(one: ConversationSummary) -> list[str]:
    """Describe the thumbs and edits of a conversation."""
    words = {"good": "good", "bad": "bad", "edit": "edited"}
    return [f"{one.feedback[kind]} {word}" for kind, word in words.items() if kind in one.feedback]


def _format_time(when: datetime) -> str:
    now = datetime.now().astimezone()
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"
