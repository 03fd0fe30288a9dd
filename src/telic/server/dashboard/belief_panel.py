"""The model's beliefs about the user and itself, side by side, with pins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from telic.readers.attributes import ATTRIBUTES
from telic.server.dashboard.elements import box, button, select, set_pressed, set_visible, text
from telic.server.pins import DEFAULT_STRENGTH, STRENGTHS, Direction, Pins

if TYPE_CHECKING:
    from telic.readers import Reader, ReaderSet, Reading

__all__ = ["BeliefPanel", "belief_changes", "pin_labels"]

HEADINGS = {"user": "It takes you to be", "self": "It takes itself to be"}
SUBJECTS = {"user": "you", "self": "itself"}
DIRECTIONS: dict[Direction, tuple[str, str]] = {
    "towards": ("arrow_upward", "likely"),
    "away": ("arrow_downward", "unlikely"),
}
"""Icon and word of each direction."""


def _noun(reader: str) -> str:
    """Return the name of a reader's attribute: `age` for `user_age`."""
    attribute = reader.partition("_")[2]
    return ATTRIBUTES[attribute].noun if attribute in ATTRIBUTES else attribute


def pin_labels(pins: Pins) -> list[str]:
    """Describe each pin."""
    return [
        f"{SUBJECTS.get(reader.partition('_')[0], reader)}: {'' if direction == 'towards' else 'not '}{label}"
        for reader, label, direction in pins.triples()
    ]


def belief_changes(
    before: Mapping[str, Reading], after: Mapping[str, Reading], always: Collection[str] = ()
) -> list[str]:
    """Describe the beliefs that differ between two replies.

    Args:
        before: beliefs at the first reply, by reader.
        after: beliefs at the second reply, by reader.
        always: readers to include even if their belief is the same.
    """
    return [
        f"{_possessive(name)} {_noun(name)}: {_summary(before[name])} → {_summary(reading)}"
        for name, reading in after.items()
        if name in before and (name in always or before[name].answer != reading.answer)
    ]


def _possessive(reader: str) -> str:
    return "your" if reader.startswith("user_") else "its own"


def _summary(reading: Reading) -> str:
    likeliest = f"{reading.likeliest} {reading.confidence:.0%}"
    return f"unknown ({likeliest})" if reading.answer is None else likeliest


class BeliefPanel:
    """Two columns of attributes, with the probabilities of their classes.

    Args:
        readers: the readers, if there are any.
        unavailable_reason: why there are none.
        can_pin: whether beliefs can be pinned.
        on_pin: called with the reader, class and direction of a pin that was pressed.
        on_strength: called with the strength that was chosen.
        on_read: reads the selected reply.
    """

    def __init__(
        self,
        readers: ReaderSet | None,
        unavailable_reason: str,
        *,
        can_pin: bool,
        on_pin: Callable[[str, str, Direction], Any],
        on_strength: Callable[[float], Any],
        on_read: Callable[[], Any],
    ) -> None:
        self._rows: dict[str, _AttributeView] = {}
        self._strength: Element | None = None
        with box("section", "panel beliefs", aria_labelledby="beliefs"):
            text("Beliefs", "h2", id="beliefs")
            if readers is None:
                text(f"Unknown. {unavailable_reason}", "p", "hint")
            self._note = text("", "p", "hint")
            self._read = button("Read this reply", on_read)
            set_visible(self._read, False)
            if readers is not None:
                with box("div", "sides"):
                    for subject, heading in HEADINGS.items():
                        own = [reader for reader in readers if reader.subject == subject]
                        if own:
                            with box("div", "side"):
                                text(heading, "h3")
                                for reader in own:
                                    self._rows[reader.name] = _AttributeView(reader, on_pin if can_pin else None)
            if readers is not None and can_pin:
                with box("p", "strength hint"):
                    text("Strength of pins", "label", for_="strength")
                    self._strength = select(
                        [(str(value), f"{value:g}") for value in STRENGTHS], str(DEFAULT_STRENGTH),
                        lambda value: on_strength(float(value)), id="strength",
                    )  # fmt: skip
                    text("standard deviations")

    def show(self, readings: Mapping[str, Reading], pins: Pins, note: str = "", *, readable: bool = False) -> None:
        """Show beliefs and pins.

        Args:
            readings: the beliefs by reader; empty if they were not read.
            pins: the pins of the next reply.
            note: a remark on the beliefs.
            readable: whether to show the button that reads them.
        """
        self._note.text = note
        set_visible(self._note, bool(note))
        set_visible(self._read, readable)
        if self._strength is not None:
            self._strength.props["value"] = str(float(pins.strength))
        for name, row in self._rows.items():
            row.show(readings.get(name), pins)


class _AttributeView:
    """One attribute of the user or the model: the belief, and the probability of each class."""

    def __init__(self, reader: Reader, on_pin: Callable[[str, str, Direction], Any] | None) -> None:
        self._reader = reader
        self._classes: dict[str, tuple[Element, TextElement, dict[Direction, Element]]] = {}
        noun = _noun(reader.name)
        with box("div", "attribute"):
            with box("h4"):
                text(noun[0].upper() + noun[1:])
                self._answer = text("–", "strong")
            with box("ul"):
                for label in reader.classes:
                    with box("li") as row:
                        text(label, "span", "label")
                        share = text("", "span", "share")
                        self._classes[label] = row, share, self._pin_buttons(label, noun, on_pin)

    def _pin_buttons(
        self, label: str, noun: str, on_pin: Callable[[str, str, Direction], Any] | None
    ) -> dict[Direction, Element]:
        if on_pin is None:
            return {}
        name = self._reader.name
        whose = _possessive(name)
        return {
            direction: button(
                "", partial(on_pin, name, label, direction), icon=icon, classes=f"icon pin {direction}",
                aria_pressed="false", aria_label=f"Pin {whose} {noun} “{label}” as {word}",
                title=f"Pin as {word}",
            )
            for direction, (icon, word) in DIRECTIONS.items()
        }  # fmt: skip

    def show(self, reading: Reading | None, pins: Pins) -> None:
        if reading is None:
            self._answer.text = "–"
        else:
            self._answer.text = "unknown" if reading.answer is None else reading.answer
        self._answer.classes(
            add="unknown" if reading is not None and reading.answer is None else "",
            remove="" if reading is not None and reading.answer is None else "unknown",
        )
        for label, (row, share, buttons) in self._classes.items():
            value = None if reading is None else reading.probabilities.get(label)
            share.text = "" if value is None else f"{value:.0%}"
            row.style(f"--share: {value or 0:.3f}")
            for direction, one in buttons.items():
                set_pressed(one, pins.direction(self._reader.name, label) == direction)
