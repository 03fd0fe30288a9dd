"""How far a reading can be trusted, by the figures on the card of its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telic.readers.attributes import ATTRIBUTES

__all__ = ["Reliability", "reader_reliability"]

MOST_TAKEOVER = 0.05
"""Largest share of messages in which only the user has the attribute, and a reading of the model itself is known."""
LEAST_RIGHT = 0.8
"""Least accuracy of what is known."""

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far the readings of one reader can be trusted."""

    sentences: tuple[str, ...]
    """What was measured, in words; never empty."""
    reason_off: str = ""
    """Why the reading should not be shown; empty if it may be. Only readings of the model itself are ever off."""

    @property
    def supported(self) -> bool:
        """Whether the card supports showing the reading."""
        return not self.reason_off


def reader_reliability(card: Mapping[str, Any], name: str) -> Reliability:
    """Find what a card says about a reader.

    The figures of natural messages come first. A card without them has only those of conversations that resemble the
    training, and says so.

    Args:
        card: the card of a set of readers; may be empty.
        name: the reader, such as `user_age`.
    """
    natural: Figures = card.get("natural", {}).get(name, {})
    attribute = name.partition("_")[2]
    noun = ATTRIBUTES[attribute].noun if attribute in ATTRIBUTES else attribute
    subject = "its user's" if name.startswith("user_") else "its own"
    sentences = _natural_sentences(natural, noun) or _trained_sentences(card.get("readers", {}).get(name, {}))
    reason = "" if name.startswith("user_") else _reason_off(natural)
    return Reliability(sentences or (f"Nobody has measured how often {subject} {noun} is right.",), reason)


def _natural_sentences(natural: Figures, noun: str) -> tuple[str, ...]:
    said, absent, mentioned = (natural.get(part, {}) for part in ("said", "absent", "third_person"))
    found = []
    if right := _figure(said, "accuracy"):
        value, number = right
        found.append(f"In {number} natural messages that said the {noun}, it was right in {value:.0%}{_unknown(said)}.")
    if certain := _figure(absent, "known"):
        value, number = certain
        found.append(f"In {number} that did not say it, it claimed to know in {value:.0%}.")
    if lured := _figure(mentioned, "known"):
        value, number = lured
        found.append(f"In {number} about somebody else, it took that person's for yours in {value:.0%}.")
    return tuple(found)


def _unknown(said: Figures) -> str:
    known = _figure(said, "known")
    return f" and unknown in {1 - known[0]:.0%}" if known else ""


def _trained_sentences(own: Figures) -> tuple[str, ...]:
    right = _figure(own, "accuracy")
    if right is None:
        return ()
    value, number = right
    return (
        f"Right in {value:.0%} of {number} groups of conversations that resemble those of its training; "
        "not measured in natural ones.",
    )


def _reason_off(natural: Figures) -> str:
    """Say why a reading of the model itself is not to be shown."""
    takeover = _figure(natural.get("takeover", {}), "known")
    right = _figure(natural.get("said", {}), "accuracy_known")
    if takeover is None or right is None:
        return "it was not measured in natural conversations"
    if takeover[0] > MOST_TAKEOVER:
        return f"in {takeover[0]:.0%} of {takeover[1]} messages it took the user's for its own"
    if right[0] < LEAST_RIGHT:
        return f"only {right[0]:.0%} of what it claimed to know in {right[1]} conversations was right"
    return ""


def _figure(figures: Figures, name: str) -> tuple[float, int] | None:
    """Return a figure's value and n; None if it was not measured."""
    found = figures.get(name)
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    return float(found["value"]), int(found.get("n", 0))
