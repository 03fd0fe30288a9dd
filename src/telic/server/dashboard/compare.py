"""Two answers to the same words, side by side: the one that there was, and the one regenerated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from telic.server.dashboard.beliefs import told
from telic.server.dashboard.elements import box, button, shown, text
from telic.server.pins import Pins

__all__ = ["Comparison"]


class Comparison:
    """Shows both until one is chosen.

    Args:
        place: where it is put.
        old: the answer that there was.
        old_pins: under which it was given.
        new_pins: under which the other one is given.
        on_keep: told whether the new one is kept.
    """

    def __init__(
        self, place: Element, old: str, old_pins: Pins, new_pins: Pins, on_keep: Callable[[bool], Any]
    ) -> None:
        self._place = place
        with place, box("section", "compare", aria_label="Two answers to compare"):
            with box("div", "answers"):
                _, self.keep_old = _card("As it was", old, old_pins, lambda: on_keep(False), "Keep the old answer")
                self._words, self.keep_new = _card(
                    "Regenerated", "", new_pins, lambda: on_keep(True), "Keep the regenerated answer"
                )
            self._changes = box("div", "changes")
        self.tell(None)
        self.ready(False)

    def grow(self, piece: str) -> None:
        """Show a piece more of the new one."""
        self._words.text += piece

    def ready(self, on: bool) -> None:
        """Let one be chosen."""
        for one in (self.keep_old, self.keep_new):
            one.props.set_bool("disabled", not on)

    def tell(self, changes: Sequence[str] | None) -> None:
        """Say which beliefs differ; None where that is not known."""
        shown(self._changes, changes is not None)
        self._changes.clear()
        with self._changes:
            text("Beliefs, from the one to the other", "h3")
            with box("ul", "hint"):
                for change in changes or ["the same at both"]:
                    text(change, "li")

    def end(self) -> None:
        """Take it away."""
        self._place.delete()


def _card(heading: str, words: str, pins: Pins, on_keep: Callable[[], Any], name: str) -> tuple[TextElement, Element]:
    with box("div", "answer"):
        with box("div", "head"):
            text(heading, "h3")
            for label in told(pins) or ["no pins"]:
                text(label, "span", "tag" if pins else "tag quiet")
        body = text(words, "p", "words")
        return body, button("Keep this one", on_keep, aria_label=name)
