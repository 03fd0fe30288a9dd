"""One turn in the log of a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from nicegui import ui
from nicegui.element import Element

from telic.server.dashboard.belief_panel import pin_labels
from telic.server.dashboard.elements import box, button, set_pressed, set_visible, text
from telic.server.dashboard.step_view import show_foldable, show_steps
from telic.server.pins import Pins
from telic.server.records import FINISH_LEFT, StoredTurn

__all__ = ["TurnActions", "TurnView", "defence_labels"]

FINISH_LABELS = {
    "length": "cut off at the token limit",
    "context": "cut off: the context is full",
    FINISH_LEFT: "stopped",
    "edited": "edited by you",
    "error": "failed",
}
"""Labels of the reasons for which a reply ended early or was changed."""


def defence_labels(turn: StoredTurn) -> list[str]:
    """Return what the defences did before a reply, and the probability of an attack that a monitor saw last."""
    acted = [f"{one['defence'] or 'conversation'}: {one['action']}" for one in turn.defences if one["action"] != "pass"]
    seen = [one["readings"]["probability"] for one in turn.defences if "probability" in one.get("readings", {})]
    return [*dict.fromkeys(acted), *(f"attack: {share:.0%}" for share in seen[-1:])]


class TurnActions(Protocol):
    """What the buttons of a turn do."""

    def select(self, position: int) -> Any:
        """Show the readings of a reply."""
        ...

    async def rate(self, position: int, value: int) -> None:
        """Store a thumb: 1, -1, or 0 to withdraw it."""
        ...

    async def regenerate(self, position: int, *, pinned: bool) -> None:
        """Generate a reply again, and compare the two."""
        ...

    async def rewrite(self, position: int, words: str) -> None:
        """Replace a reply by an edited one."""
        ...


class TurnView:
    """One turn. Its buttons stay while their labels change, so the keyboard focus stays too.

    Args:
        turn: the turn.
        name: name of the assistant.
        number: number of the reply, from 1.
        actions: what the buttons do.
        pins: the pins that acted on the reply.
    """

    def __init__(self, turn: StoredTurn, name: str, number: int, actions: TurnActions, pins: Pins) -> None:
        self._content = (turn.role, turn.text, turn.finish)
        self._position, self._actions, self._thumb = turn.position, actions, 0
        self._marked: tuple[tuple[int, int], ...] = ()
        is_user = turn.role == "user"
        self.root = box("article", f"turn {'user' if is_user else 'bot'}")
        self._buttons: list[Element] = []
        with self.root:
            with box("div", "head"):
                text("You" if is_user else name if turn.role == "assistant" else turn.role, "h3")
                if not is_user:
                    self._select_button = button(
                        f"Reply {number}", self._select, classes="select", aria_pressed="false",
                        aria_label=f"Reply {number}: show its readings",
                    )  # fmt: skip
                    for label in pin_labels(pins):
                        text(label, "span", "tag")
                    if act := turn.planner_choice.get("act"):
                        text(f"act: {act}", "span", "tag act")
                    for label in defence_labels(turn):
                        text(label, "span", "tag")
                    if turn.finish in FINISH_LABELS:
                        text(FINISH_LABELS[turn.finish], "span", "tag quiet")
            show_steps(turn.tools.steps)
            is_result = turn.role == "tool"
            if is_result:
                show_foldable(turn.text, "step")
            self._words = text("" if is_result else turn.text, "p", "words")
            set_visible(self._words, not is_result)
            show_steps((), turn.tools.calls)
            if turn.role == "assistant":
                self._words.on("click", self._select, args=[])
                self._add_buttons(number)

    def _add_buttons(self, number: int) -> None:
        with box("div", "actions") as self._actions_row:
            self._up = button(
                "", lambda: self._rate(1), icon="thumb_up", classes="icon", aria_pressed="false",
                aria_label=f"Reply {number} is good",
            )  # fmt: skip
            self._down = button(
                "", lambda: self._rate(-1), icon="thumb_down", classes="icon", aria_pressed="false",
                aria_label=f"Reply {number} is bad",
            )  # fmt: skip
            edit = button("Edit", self._edit, aria_label=f"Edit reply {number}")
            regenerate = button(
                "Regenerate", lambda: self._actions.regenerate(self._position, pinned=True),
                aria_label=f"Regenerate reply {number}, and compare",
            )  # fmt: skip
            self._unpinned = button(
                "… without pins", lambda: self._actions.regenerate(self._position, pinned=False),
                aria_label=f"Regenerate reply {number} without pins, and compare",
            )  # fmt: skip
            self._buttons = [edit, regenerate, self._unpinned]

    def shows(self, turn: StoredTurn) -> bool:
        """Return whether this view shows a turn with this content."""
        return self._content == (turn.role, turn.text, turn.finish)

    def update(self, turn: StoredTurn, selected: bool, has_pins: bool) -> None:
        """Update the thumbs, the selection, and the button for a reply without pins."""
        if turn.role != "assistant":
            return
        self._thumb = next((one.value for one in reversed(turn.feedback) if one.source == "thumb"), 0)
        set_pressed(self._up, self._thumb == 1)
        set_pressed(self._down, self._thumb == -1)
        set_pressed(self._select_button, selected)
        self.root.classes(add="selected" if selected else "", remove="" if selected else "selected")
        set_visible(self._unpinned, has_pins)

    def highlight(self, places: Sequence[tuple[int, int]]) -> None:
        """Mark words: from which character to which."""
        if self._marked == (marked := tuple(sorted(places))):
            return
        self._marked = marked
        _, words, _ = self._content
        self._words.clear()
        self._words.text = "" if marked else words
        with self._words:
            at = 0
            for start, end in marked:
                text(words[at:start])
                text(words[start:end], "mark")
                at = end
            if marked:
                text(words[at:])

    def lock(self, on: bool) -> None:
        """Disable the buttons that start a reply, or enable them again."""
        for one in self._buttons:
            one.props.set_bool("disabled", on)

    def _select(self) -> Any:
        return self._actions.select(self._position)

    async def _rate(self, value: int) -> None:
        await self._actions.rate(self._position, 0 if self._thumb == value else value)

    def _edit(self) -> None:
        """Replace the text by a field to edit it."""
        set_visible(self._words, False)
        set_visible(self._actions_row, False)
        with self.root:
            form = box("div", "editing")
        form.move(target_index=2)
        _, words, _ = self._content
        with form:
            field = ui.textarea(value=words).props("outlined autogrow dense autofocus aria-label='Edited reply'")

            async def save() -> None:
                await self._actions.rewrite(self._position, field.value or "")

            def cancel() -> None:
                form.delete()
                set_visible(self._words, True)
                set_visible(self._actions_row, True)

            with box("div", "actions"):
                button("Save edit", save, classes="primary")
                button("Cancel", cancel)
        field.on("keydown.escape", cancel, args=[])
