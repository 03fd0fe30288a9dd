"""The chat: what was said, turn by turn, and where the next words are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from nicegui import ui
from nicegui.element import Element

from telic.server.conversation import Conversation
from telic.server.dashboard.beliefs import told
from telic.server.dashboard.elements import box, button, pressed, shown, text
from telic.server.pins import Pins
from telic.server.store import KeptTurn

__all__ = ["Actions", "Composer", "Log", "Waiting"]

ENDS = {
    "length": "cut off at the limit of tokens",
    "context": "cut off: the context is full",
    "left": "stopped",
    "edited": "edited by you",
    "error": "failed",
}
"""Why a reply ended, where that is worth saying."""


class Actions(Protocol):
    """What a person may do with a turn."""

    def select(self, position: int) -> Any:
        """Look at what was read at a reply."""
        ...

    async def rate(self, position: int, value: int) -> None:
        """Like it, dislike it, or take that back."""
        ...

    async def regenerate(self, position: int, *, pinned: bool) -> None:
        """Have it answered again, beside what there is."""
        ...

    async def rewrite(self, position: int, words: str) -> None:
        """Put other words in its place."""
        ...


class Log:
    """All turns of a conversation.

    Args:
        name: what the assistant is called.
        actions: what the buttons do.
    """

    def __init__(self, name: str, actions: Actions) -> None:
        self._name, self._actions = name, actions
        self._turns: dict[int, _TurnView] = {}
        self._root = box("div", "log", role="log", aria_live="off", aria_label="Conversation", tabindex="0")
        with self._root:
            self._empty = box("div", "empty")
            with self._empty:
                text("Say something to begin.", "p")
                text(
                    "Every reply is kept, with what was read off the model when it was given.",
                    "p",
                    "hint",
                )

    def show(self, conversation: Conversation, selected: int | None) -> None:
        """Show a conversation as it stands; what is there already stays as it is."""
        turns = conversation.turns
        for position in [at for at, view in self._turns.items() if at >= len(turns) or not view.shows(turns[at])]:
            self._turns.pop(position).root.delete()
        number = 0
        for turn in turns:
            number += turn.role == "assistant"
            if turn.position not in self._turns:
                with self._root:
                    view = _TurnView(turn, self._name, number, self._actions, conversation.pins_of(turn))
                view.root.move(target_index=turn.position + 1)
                self._turns[turn.position] = view
            self._turns[turn.position].update(turn, selected == turn.position, bool(conversation.pins))
        shown(self._empty, not turns)

    def wait(self, words: str | None, at: int) -> Waiting:
        """Show words that are being said, and a reply that is under way; turns from a position on make room.

        Args:
            words: the user's; None where they are there already.
            at: position from which on nothing else is shown.
        """
        for position in [position for position in self._turns if position >= at]:
            self._turns.pop(position).root.delete()
        shown(self._empty, False)
        with self._root:
            return Waiting(words, self._name)

    def below(self, position: int) -> Element:
        """A place right below a turn."""
        with self._root:
            place = box("div", "below")
        place.move(target_index=position + 2)
        return place

    def hide(self, position: int | None) -> None:
        """Hide a turn, whose words stand in a comparison; or none."""
        for own, view in self._turns.items():
            shown(view.root, own != position)

    def lock(self, on: bool) -> None:
        """While a reply is under way, nothing else can be begun."""
        for view in self._turns.values():
            view.lock(on)


class Waiting:
    """A reply under way."""

    def __init__(self, words: str | None, name: str) -> None:
        self._parts = []
        if words is not None:
            self._parts.append(box("article", "turn user"))
            with self._parts[-1]:
                text("You", "h3")
                text(words, "p", "words")
        self._parts.append(box("article", "turn bot under-way"))
        with self._parts[-1]:
            text(name, "h3")
            self._text = text("", "p", "words")

    def grow(self, piece: str) -> None:
        """Show a piece more."""
        self._text.text += piece

    def end(self) -> None:
        """Take it away: what was kept is shown instead."""
        for part in self._parts:
            part.delete()


class _TurnView:
    """One turn. Its buttons stay where they are while what they say changes, so that the keyboard's focus does too."""

    def __init__(self, turn: KeptTurn, name: str, number: int, actions: Actions, pins: Pins) -> None:
        self._said = (turn.role, turn.text, turn.finish)
        self._position, self._actions, self._thumb = turn.position, actions, 0
        mine = turn.role == "user"
        self.root = box("article", f"turn {'user' if mine else 'bot'}")
        self._buttons: list[Element] = []
        with self.root:
            with box("div", "head"):
                text("You" if mine else name if turn.role == "assistant" else turn.role, "h3")
                if not mine:
                    self._look = button(
                        f"Reply {number}", self._select, classes="look", aria_pressed="false",
                        aria_label=f"Reply {number}: show what was read at it",
                    )  # fmt: skip
                    for label in told(pins):
                        text(label, "span", "tag")
                    if act := turn.planner.get("act"):
                        text(f"act: {act}", "span", "tag act")
                    if turn.finish in ENDS:
                        text(ENDS[turn.finish], "span", "tag quiet")
            self._words = text(turn.text, "p", "words")
            if not mine and turn.role == "assistant":
                self._words.on("click", self._select, args=[])
                self._offer(number)

    def _offer(self, number: int) -> None:
        """The buttons below a reply."""
        with box("div", "actions"):
            self._up = button(
                "", lambda: self._rate(1), icon="thumb_up", classes="icon", aria_pressed="false",
                aria_label=f"Reply {number} is good",
            )  # fmt: skip
            self._down = button(
                "", lambda: self._rate(-1), icon="thumb_down", classes="icon", aria_pressed="false",
                aria_label=f"Reply {number} is bad",
            )  # fmt: skip
            edit = button("Edit", self._edit, aria_label=f"Edit reply {number}")
            again = button(
                "Regenerate", lambda: self._actions.regenerate(self._position, pinned=True),
                aria_label=f"Regenerate reply {number}, and compare",
            )  # fmt: skip
            self._free = button(
                "… without pins", lambda: self._actions.regenerate(self._position, pinned=False),
                aria_label=f"Regenerate reply {number} without pins, and compare",
            )  # fmt: skip
            self._buttons = [edit, again, self._free]

    def shows(self, turn: KeptTurn) -> bool:
        """Whether this is the view of that turn."""
        return self._said == (turn.role, turn.text, turn.finish)

    def update(self, turn: KeptTurn, selected: bool, pins: bool) -> None:
        """Show what may have changed."""
        if turn.role != "assistant":
            return
        self._thumb = next((one.value for one in reversed(turn.feedback) if one.kind == "thumb"), 0)
        pressed(self._up, self._thumb == 1)
        pressed(self._down, self._thumb == -1)
        pressed(self._look, selected)
        self.root.classes(add="selected" if selected else "", remove="" if selected else "selected")
        shown(self._free, pins)

    def lock(self, on: bool) -> None:
        """Switch off what begins a reply."""
        for one in self._buttons:
            one.props.set_bool("disabled", on)

    def _select(self) -> Any:
        return self._actions.select(self._position)

    async def _rate(self, value: int) -> None:
        await self._actions.rate(self._position, 0 if self._thumb == value else value)

    def _edit(self) -> None:
        """Let the words be written over."""
        shown(self._words, False)
        with self.root:
            form = box("div", "editing")
        form.move(target_index=2)
        with form:
            field = ui.textarea(value=self._said[1]).props(
                "outlined autogrow dense autofocus aria-label='Edited reply'"
            )

            async def keep() -> None:
                await self._actions.rewrite(self._position, field.value or "")

            def leave() -> None:
                form.delete()
                shown(self._words, True)

            with box("div", "actions"):
                button("Keep the edit", keep, classes="primary")
                button("Cancel", leave)
        field.on("keydown.escape", leave, args=[])


@dataclass
class Composer:
    """Where the next words are written.

    Args:
        on_say: what is done with them.
        on_stop: cuts the reply off.
        on_unpin: takes a pin out: reader, class, direction.
    """

    on_say: Callable[[str], Any]
    on_stop: Callable[[], Any]
    on_unpin: Callable[[str, str, Any], Any]

    def __post_init__(self) -> None:
        with box("div", "composer"):
            self._alert = box("div", "alert", role="alert")
            self._pins = box("div", "pinned", role="group", aria_label="Pins in force")
            with box("div", "line"):
                self.field = ui.textarea(placeholder="Say something").props(
                    "outlined autogrow dense aria-label='Your message'"
                )
                self.field.classes("field").on(
                    "keydown",
                    self._say,
                    js_handler="(e) => { if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) "
                    "{ e.preventDefault(); emit(); } }",
                )
                self._send = button("Send", self._say, classes="primary")
                self._stop = button("Stop", lambda: self.on_stop(), classes="primary")
            self._status = text("", "p", "status", role="status")
        shown(self._stop, False)
        self.complain("")
        self.pin(Pins())

    async def _say(self) -> None:
        words = self.field.value or ""
        if words.strip():
            await self.on_say(words)

    def status(self, words: str) -> None:
        """Say what is going on."""
        self._status.text = words

    def complain(self, words: str) -> None:
        """Say what went wrong; nothing to take it back."""
        self._alert.clear()
        shown(self._alert, bool(words))
        if words:
            with self._alert:
                text(words)
                button("", lambda: self.complain(""), icon="close", classes="icon", aria_label="Dismiss")

    def busy(self, answering: bool, locked: bool) -> None:
        """Show the button that stops instead of the one that sends; or let nothing be sent."""
        shown(self._send, not answering)
        shown(self._stop, answering)
        self._send.props.set_bool("disabled", locked)

    def pin(self, pins: Pins) -> None:
        """Show which pins are in force."""
        self._pins.clear()
        shown(self._pins, bool(pins))
        with self._pins:
            if pins:
                text("Pinned from the next reply on:")
            for (reader, label, direction), words in zip(pins.each(), told(pins), strict=True):
                with box("span", "tag"):
                    text(words)
                    button(
                        "", partial(self.on_unpin, reader, label, direction), icon="close",
                        classes="icon", aria_label=f"Unpin: {words}",
                    )  # fmt: skip
