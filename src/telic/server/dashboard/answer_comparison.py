"""Two replies to the same message, side by side: the old one and the regenerated one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from telic.server.dashboard.belief_panel import pin_labels
from telic.server.dashboard.elements import box, button, set_visible, text
from telic.server.pins import Pins

__all__ = ["AnswerComparison"]


class AnswerComparison:
    """Shows two replies until the user chooses one.

    Args:
        parent: the element that contains it.
        old: text of the old reply.
        old_pins: the pins that acted on it.
        new_pins: the pins that act on the new reply.
        on_choose: called with whether the user chose the new reply.
    """

    def __init__(
        self, parent: Element, old: str, old_pins: Pins, new_pins: Pins, on_choose: Callable[[bool], Any]
    ) -> None:
        self._parent = parent
        with parent, box("section", "compare", aria_label="Two answers to compare"):
            with box("div", "answers"):
                _, self._keep_old = _card("Old answer", old, old_pins, lambda: on_choose(False), "Keep the old answer")
                self._words, self._keep_new = _card(
                    "Regenerated", "", new_pins, lambda: on_choose(True), "Keep the regenerated answer"
                )
            self._changes = box("div", "changes")
        self.show_changes(None)
        self.enable(False)

    def append(self, piece: str) -> None:
        """Append to the new reply."""
        self._words.text += piece

    def enable(self, on: bool) -> None:
        """Enable or disable the choice."""
        for one in (self._keep_old, self._keep_new):
            one.props.set_bool("disabled", not on)

    def show_changes(self, changes: Sequence[str] | None) -> None:
        """Show the beliefs that differ; None if they are unknown."""
        set_visible(self._changes, changes is not None)
        self._changes.clear()
        with self._changes:
            text("Beliefs, from old to new", "h3")
            with box("ul", "hint"):
                for change in changes or ["no differences"]:
                    text(change, "li")

    def remove(self) -> None:
        """Remove it from the page."""
        self._parent.delete()


def _card(heading: str, words: str, pins: Pins, on_keep: Callable[[], Any], name: str) -> tuple[TextElement, Element]:
    with box("div", "answer"):
        with box("div", "head"):
            text(heading, "h3")
            for label in pin_labels(pins) or ["no pins"]:
                text(label, "span", "tag" if pins else "tag quiet")
        body = text(words, "p", "words")
        return body, button("Keep this one", on_keep, aria_label=name)
