"""The model's beliefs about the user and itself, side by side, with pins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui.element import Element

from telic.server.beliefs import Beliefs
from telic.server.dashboard.attribute_view import AttributeView, noun_of, possessive_of
from telic.server.dashboard.elements import box, button, select, set_visible, text
from telic.server.pins import DEFAULT_STRENGTH, STRENGTHS, Direction, Pins

if TYPE_CHECKING:
    from telic.readers import Reader, Reading
    from telic.readers.evidence import Evidence

__all__ = ["BeliefPanel", "belief_changes", "pin_labels"]

HEADINGS = {"user": "It takes you to be", "self": "It takes itself to be"}
SUBJECTS = {"user": "you", "self": "itself"}
OFF = "Off if the readers' card does not support it."


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
        f"{possessive_of(name)} {noun_of(name)}: {_summary(before[name])} → {_summary(reading)}"
        for name, reading in after.items()
        if name in before and (name in always or before[name].answer != reading.answer)
    ]


def _summary(reading: Reading) -> str:
    likeliest = f"{reading.likeliest} {reading.confidence:.0%}"
    return f"unknown ({likeliest})" if reading.answer is None else likeliest


class BeliefPanel:
    """Two columns of attributes; each is unknown until it is read, and says what its reading rests on.

    Args:
        beliefs: the readers, if there are any, and whether beliefs can be pinned.
        on_pin: called with the reader, class and direction of a pin that was pressed.
        on_strength: called with the strength that was chosen.
        on_read: reads the selected reply.
        on_explain: called with the reader whose reading is to be explained, or no longer.
    """

    def __init__(
        self,
        beliefs: Beliefs,
        *,
        on_pin: Callable[[str, str, Direction], Any],
        on_strength: Callable[[float], Any],
        on_read: Callable[[], Any],
        on_explain: Callable[[str], Any],
    ) -> None:
        self._beliefs, self._on_explain = beliefs, on_explain
        self._on_pin = on_pin if beliefs.can_pin else None
        self._views: dict[str, AttributeView] = {}
        self._strength: Element | None = None
        with box("section", "panel beliefs", aria_labelledby="beliefs"):
            text("Beliefs", "h2", id="beliefs")
            if beliefs.readers is None:
                text(f"Unknown. {beliefs.unavailable_reason}", "p", "hint")
            self._note = text("", "p", "hint")
            self._read = button("Read this reply", on_read)
            set_visible(self._read, False)
            if beliefs.readers is not None:
                with box("div", "sides"):
                    for subject, heading in HEADINGS.items():
                        self._add_side(heading, [one for one in beliefs.readers if one.subject == subject])
            if beliefs.can_pin:
                self._add_strength(on_strength)

    def _add_side(self, heading: str, readers: list[Reader]) -> None:
        if not readers:
            return
        with box("div", "side"):
            text(heading, "h3")
            if any(self._beliefs.reason_off(reader.name) for reader in readers):
                text(OFF, "p", "hint")
            for reader in readers:
                self._views[reader.name] = AttributeView(
                    reader,
                    self._beliefs.reason_off(reader.name),
                    on_explain=partial(self._on_explain, reader.name),
                    on_pin=self._on_pin,
                )

    def _add_strength(self, on_strength: Callable[[float], Any]) -> None:
        with box("p", "strength hint"):
            text("Strength of pins", "label", for_="strength")
            self._strength = select(
                [(str(value), f"{value:g}") for value in STRENGTHS], str(DEFAULT_STRENGTH),
                lambda value: on_strength(float(value)), id="strength",
            )  # fmt: skip
            text("standard deviations")

    def show(
        self, readings: Mapping[str, Reading], pins: Pins, acted: Pins, note: str = "", *, readable: bool = False
    ) -> None:
        """Show beliefs and pins.

        Args:
            readings: the beliefs by reader; empty if they were not read.
            pins: the pins of the next reply.
            acted: the pins under which the beliefs were read.
            note: a remark on the beliefs.
            readable: whether to show the button that reads them.
        """
        self._note.text = note
        set_visible(self._note, bool(note))
        set_visible(self._read, readable)
        if self._strength is not None:
            self._strength.props["value"] = str(float(pins.strength))
        for name, view in self._views.items():
            view.show(readings.get(name), pins, acted)

    def explain(self, reader: str | None, evidence: Evidence | None, messages: int, *, waiting: bool) -> None:
        """Show what one reading rests on; None closes the explanation.

        Args:
            reader: its name.
            evidence: the words that moved it; None if they are not known.
            messages: how many messages the user has sent by then.
            waiting: whether the words are being looked for.
        """
        for name, view in self._views.items():
            if name == reader:
                view.explain(evidence, self._beliefs.reliability(name, messages), waiting=waiting)
            else:
                view.close()
