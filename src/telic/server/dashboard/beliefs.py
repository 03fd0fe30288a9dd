"""What the model takes the user, and itself, to be: side by side, with pins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from telic.readers.attributes import ATTRIBUTES
from telic.server.dashboard.elements import box, button, choice, pressed, shown, text
from telic.server.pins import STRENGTH, STRENGTHS, Direction, Pins

if TYPE_CHECKING:
    from telic.readers import Reader, ReaderSet, Reading

__all__ = ["BeliefPanel", "changes", "told"]

SIDES = {"user": "It takes you to be", "self": "It takes itself to be"}
WHO = {"user": "you", "self": "itself"}
DIRECTIONS: dict[Direction, tuple[str, str]] = {
    "towards": ("arrow_upward", "likely"),
    "away": ("arrow_downward", "unlikely"),
}


def _noun(reader: str) -> str:
    """What an attribute is called: that of `user_age` is `age`."""
    attribute = reader.partition("_")[2]
    return ATTRIBUTES[attribute].noun if attribute in ATTRIBUTES else attribute


def told(pins: Pins) -> list[str]:
    """Each pin in words."""
    return [
        f"{WHO.get(reader.partition('_')[0], reader)}: {'' if direction == 'towards' else 'not '}{label}"
        for reader, label, direction in pins.each()
    ]


def changes(before: Mapping[str, Reading], after: Mapping[str, Reading], always: Collection[str] = ()) -> list[str]:
    """Beliefs that differ between two replies, in words; some of them always."""
    return [
        f"{_side(name)} {_noun(name)}: {_brief(before[name])} → {_brief(reading)}"
        for name, reading in after.items()
        if name in before and (name in always or before[name].answer != reading.answer)
    ]


def _side(reader: str) -> str:
    return "your" if reader.startswith("user_") else "its own"


def _brief(reading: Reading) -> str:
    likeliest = f"{reading.likeliest} {reading.confidence:.0%}"
    return f"unknown ({likeliest})" if reading.answer is None else likeliest


class BeliefPanel:
    """Two columns of attributes, each with its classes and their probabilities.

    Args:
        readers: what is read; None: nothing can be.
        why_not: why nothing can be read.
        can_pin: whether there are pins.
        on_pin: told of a class whose pin was pressed.
        on_strength: told of the strength chosen.
        on_read: reads the reply that is shown.
    """

    def __init__(
        self,
        readers: ReaderSet | None,
        why_not: str,
        *,
        can_pin: bool,
        on_pin: Callable[[str, str, Direction], Any],
        on_strength: Callable[[float], Any],
        on_read: Callable[[], Any],
    ) -> None:
        self._rows: dict[str, _Attribute] = {}
        self._strength: Element | None = None
        with box("section", "panel beliefs", aria_labelledby="beliefs"):
            text("Beliefs", "h2", id="beliefs")
            if readers is None:
                text(f"Unknown. {why_not}", "p", "hint")
            self._note = text("", "p", "hint")
            self._read = button("Read this reply", on_read)
            shown(self._read, False)
            if readers is not None:
                with box("div", "sides"):
                    for subject, heading in SIDES.items():
                        own = [reader for reader in readers if reader.subject == subject]
                        if own:
                            with box("div", "side"):
                                text(heading, "h3")
                                for reader in own:
                                    self._rows[reader.name] = _Attribute(reader, on_pin if can_pin else None)
            if readers is not None and can_pin:
                with box("p", "strength hint"):
                    text("Strength of pins", "label", for_="strength")
                    self._strength = choice(
                        [(str(value), f"{value:g}") for value in STRENGTHS], str(STRENGTH),
                        lambda value: on_strength(float(value)), id="strength",
                    )  # fmt: skip
                    text("standard deviations")

    def show(self, readings: Mapping[str, Reading], pins: Pins, note: str = "", *, readable: bool = False) -> None:
        """Show readings, and the pins in force.

        Args:
            readings: by reader; none where nothing was read.
            pins: in force from the next reply on.
            note: what is to be said about the readings.
            readable: whether the button that reads is of use.
        """
        self._note.text = note
        shown(self._note, bool(note))
        shown(self._read, readable)
        if self._strength is not None:
            self._strength.props["value"] = str(float(pins.strength))
        for name, row in self._rows.items():
            row.show(readings.get(name), pins)


class _Attribute:
    """One attribute of one of the two: what it is taken for, and each class."""

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
                        self._classes[label] = row, share, self._pins(label, noun, on_pin)

    def _pins(
        self, label: str, noun: str, on_pin: Callable[[str, str, Direction], Any] | None
    ) -> dict[Direction, Element]:
        if on_pin is None:
            return {}
        name = self._reader.name
        whose = "your" if self._reader.subject == "user" else "its own"
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
            for direction, made in buttons.items():
                pressed(made, pins.direction(self._reader.name, label) == direction)
