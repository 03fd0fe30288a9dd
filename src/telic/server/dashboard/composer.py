"""Where the user writes messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nicegui import ui

from telic.server.dashboard.belief_panel import pin_labels
from telic.server.dashboard.elements import box, button, set_visible, text
from telic.server.pins import Direction, Pins

__all__ = ["Composer"]


@dataclass
class Composer:
    """The field for a message, with the pins, the status and errors.

    Args:
        on_say: called with the message.
        on_stop: stops the reply.
        on_unpin: removes a pin: reader, class, direction.
    """

    on_say: Callable[[str], Any]
    on_stop: Callable[[], Any]
    on_unpin: Callable[[str, str, Direction], Any]

    def __post_init__(self) -> None:
        with box("div", "composer"):
            self._alert = box("div", "alert", role="alert")
            self._pins = box("div", "pinned", role="group", aria_label="Active pins")
            with box("div", "line"):
                self.field = ui.textarea(placeholder="Write a message").props(
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
        set_visible(self._stop, False)
        self.show_error("")
        self.show_pins(Pins())

    async def _say(self) -> None:
        words = self.field.value or ""
        if words.strip():
            await self.on_say(words)

    def show_status(self, status: str) -> None:
        """Show what is going on."""
        self._status.text = status

    def show_error(self, message: str) -> None:
        """Show an error; an empty message removes it."""
        self._alert.clear()
        set_visible(self._alert, bool(message))
        if message:
            with self._alert:
                text(message)
                button("", lambda: self.show_error(""), icon="close", classes="icon", aria_label="Dismiss")

    def set_busy(self, *, answering: bool, locked: bool) -> None:
        """Set the buttons.

        Args:
            answering: show the button that stops the reply, instead of the one that sends.
            locked: disable sending.
        """
        set_visible(self._send, not answering)
        set_visible(self._stop, answering)
        self._send.props.set_bool("disabled", locked)

    def show_pins(self, pins: Pins) -> None:
        """Show the active pins."""
        self._pins.clear()
        set_visible(self._pins, bool(pins))
        with self._pins:
            if pins:
                text("Pinned from the next reply on:")
            for (reader, label, direction), words in zip(pins.triples(), pin_labels(pins), strict=True):
                with box("span", "tag"):
                    text(words)
                    button(
                        "", partial(self.on_unpin, reader, label, direction), icon="close",
                        classes="icon", aria_label=f"Unpin: {words}",
                    )  # fmt: skip
