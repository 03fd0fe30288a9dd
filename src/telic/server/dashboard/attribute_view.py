"""One attribute of the user or the model: the belief, its classes with their pins, and what the belief rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from telic.readers.attributes import ATTRIBUTES
from telic.server.dashboard.elements import box, button, set_pressed, set_visible, text
from telic.server.pins import Direction, Pins

if TYPE_CHECKING:
    from telic.readers import Reader, Reading
    from telic.readers.evidence import Evidence

__all__ = ["AttributeView", "noun_of", "possessive_of"]

DIRECTIONS: dict[Direction, tuple[str, str]] = {
    "towards": ("arrow_upward", "likely"),
    "away": ("arrow_downward", "unlikely"),
}
"""Icon and word of each direction."""
QUOTES = 5
"""Spans that are quoted."""
LONGEST_QUOTE = 80
"""Characters of a quote."""


def noun_of(reader: str) -> str:
    """Return the name of a reader's attribute: `age` for `user_age`."""
    attribute = reader.partition("_")[2]
    return ATTRIBUTES[attribute].noun if attribute in ATTRIBUTES else attribute


def possessive_of(reader: str) -> str:
    """Return whose attribute it is: `your` for `user_age`."""
    return "your" if reader.startswith("user_") else "its own"


class AttributeView:
    """One attribute. Shares of the classes are shown only while the reading is known.

    Args:
        reader: reads it.
        reason_off: why the reader is off; empty if it is on.
        on_explain: called when the reading is pressed.
        on_pin: called with the reader, class and direction of a pin that was pressed; None: there are no pins.
    """

    def __init__(
        self,
        reader: Reader,
        reason_off: str,
        *,
        on_explain: Callable[[], Any],
        on_pin: Callable[[str, str, Direction], Any] | None,
    ) -> None:
        self._reader, self._reason_off = reader, reason_off
        self._reading: Reading | None = None
        self._classes: dict[str, tuple[Element, TextElement, dict[Direction, Element]]] = {}
        noun, whose = noun_of(reader.name), possessive_of(reader.name)
        with box("div", "attribute"):
            with box("h4"):
                text(noun[0].upper() + noun[1:])
                self._button = box(
                    "button", "answer-button unknown", type="button", aria_expanded="false",
                    title=f"What the reading of {whose} {noun} rests on",
                )  # fmt: skip
                self._button.on("click", lambda: on_explain(), args=[])
                with self._button:
                    self._answer = text("", "strong")
            with box("ul"):
                for label in reader.classes:
                    with box("li") as row:
                        text(label, "span", "label")
                        share = text("", "span", "share")
                        self._classes[label] = row, share, self._pin_buttons(label, noun, on_pin)
            self._not_followed = text("", "p", "hint")
            self._explanation = box("div", "explanation", role="status")
        set_visible(self._explanation, False)
        self.show(None, Pins(), Pins())

    def _pin_buttons(
        self, label: str, noun: str, on_pin: Callable[[str, str, Direction], Any] | None
    ) -> dict[Direction, Element]:
        if on_pin is None:
            return {}
        name = self._reader.name
        return {
            direction: button(
                "", partial(on_pin, name, label, direction), icon=icon, classes=f"icon pin {direction}",
                aria_pressed="false", aria_label=f"Pin {possessive_of(name)} {noun} “{label}” as {word}",
                title=f"Pin as {word}",
            )
            for direction, (icon, word) in DIRECTIONS.items()
        }  # fmt: skip

    def show(self, reading: Reading | None, pins: Pins, acted: Pins) -> None:
        """Show a reading.

        Args:
            reading: the reading; None is shown as unknown.
            pins: the pins of the next reply.
            acted: the pins under which it was read.
        """
        self._reading = None if self._reason_off else reading
        answer = None if self._reading is None else self._reading.answer
        self._answer.text = "off" if self._reason_off else answer or "unknown"
        self._button.props["aria-label"] = (
            f"{possessive_of(self._reader.name).capitalize()} {noun_of(self._reader.name)}: {self._answer.text}. Why?"
        )
        self._button.classes(add="" if answer else "unknown", remove="unknown" if answer else "")
        self._not_followed.text = (
            acted.not_followed(self._reader.name, self._reading.likeliest) if self._reading is not None else ""
        )
        set_visible(self._not_followed, bool(self._not_followed.text))
        for label, (row, share, buttons) in self._classes.items():
            value = self._reading.probabilities.get(label) if self._reading and answer else None
            share.text = "" if value is None else f"{value:.0%}"
            row.style(f"--share: {value or 0:.3f}")
            for direction, one in buttons.items():
                set_pressed(one, pins.direction(self._reader.name, label) == direction)

    def explain(self, evidence: Evidence | None, reliability: Sequence[str], *, waiting: bool) -> None:
        """Show what the reading rests on, and how reliable it is.

        Args:
            evidence: the words that moved it; None if they are not known.
            reliability: sentences.
            waiting: whether the words are being looked for.
        """
        self._open(True)
        with self._explanation:
            if self._reason_off:
                text(f"Off: {self._reason_off}. To show it anyway, set unsupported_readings = true in [serve].", "p")
            elif waiting:
                text("Leaving out your words, one after another …", "p")
            elif evidence is not None and self._reading is not None:
                self._add_evidence(self._reading, evidence)
            for sentence in reliability:
                text(sentence, "p", "hint")

    def close(self) -> None:
        """Hide the explanation."""
        self._open(False)

    def _open(self, on: bool) -> None:
        self._explanation.clear()
        set_visible(self._explanation, on)
        self._button.props["aria-expanded"] = str(on).lower()

    def _add_evidence(self, reading: Reading, evidence: Evidence) -> None:
        if reading.answer is None:
            needed = f"at least {reading.threshold:.0%} is needed"
            if reading.confidence <= reading.unknown:
                needed = f"the possibility that nothing shows it has {reading.unknown:.0%}"
            text(f"Unknown: the most likely, {evidence.label}, has {reading.confidence:.0%}, and {needed}.", "p")
        label, share = evidence.label, f"{evidence.probability:.0%}"
        moved = evidence.moved()[:QUOTES]
        text(
            f"{label}: {share}; without" if moved else f"{label}: {share}. No words alone account for it.", "p", "lead"
        )
        if moved:
            with box("ul", "quotes"):
                for span in moved:
                    with box("li"):
                        text(f"“{_shortened(span.text)}”", "span", "quote")
                        text(f"{span.without:.0%}", "span", "share")
        text(f"Without any of your words: {evidence.without_all:.0%}.", "p")


def _shortened(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= LONGEST_QUOTE else f"{words[: LONGEST_QUOTE - 1]}…"
