"""How far a reading can be trusted, by the figures on the card of its readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telic.readers.attributes import ATTRIBUTES

__all__ = ["reason_unsupported", "reliability_sentences"]

MOST_TAKEOVER = 0.05
"""Largest share of dialogues in which a reading of the model itself is the class of the user."""
LEAST_RIGHT = 0.8
"""Least accuracy of what is known."""
FEWEST = 10
"""Fewest dialogues of one length from which a figure is told."""

Figures = Mapping[str, Any]


def reliability_sentences(card: Mapping[str, Any], name: str, messages: int = 1) -> list[str]:
    """Say in words what a card says about a reader.

    The figures of natural dialogues of this length come first, then those of all natural ones. A card without them has
    only those of conversations that resemble the training, and says so.

    Args:
        card: the card of a set of readers; may be empty.
        name: the reader, such as `user_age`.
        messages: how many messages of the user the reading rests on.

    Returns:
        At least one sentence.
    """
    attribute = name.partition("_")[2]
    noun = ATTRIBUTES[attribute].noun if attribute in ATTRIBUTES else attribute
    whose, other = ("its own", "yours") if name.startswith("self_") else ("yours", "its own")
    noun = f"{whose.removesuffix('s')} {noun}"
    natural = _natural(card, name)
    found = []
    for figure, words in (
        ("accuracy", f"{{where}} that said {noun}, it was right in {{share}}{{unknown}}."),
        ("false_certainty", "{where} that did not say it, it claimed to know in {share}."),
        ("takeover", f"{{where}} that said only {other}, it took that for {whose} in {{share}}."),
        ("lured", f"{{where}} that said somebody else's, it took that for {whose} in {{share}}."),
    ):
        if measured := _of_length(natural, figure, messages):
            kind, share, number = measured
            unknown = _of_length(natural, "known", messages) if figure == "accuracy" else None
            told = f" and unknown in {1 - unknown[1]:.0%}" if unknown else ""
            found.append(words.format(where=f"In {number} natural {kind}", share=f"{share:.0%}", unknown=told))
    return found or [_trained_sentence(card.get("readers", {}).get(name, {}), noun)]


def reason_unsupported(card: Mapping[str, Any], name: str) -> str:
    """Say why a card does not support showing a reading of the model itself; empty if it does, or for the user."""
    if not name.startswith("self_"):
        return ""
    every = _natural(card, name).get("all", {})
    takeover, right = _figure(every, "takeover"), _figure(every, "accuracy_known")
    if takeover is None or right is None:
        return "it was not measured in natural conversations"
    if takeover[0] > MOST_TAKEOVER:
        return f"in {takeover[0]:.0%} of {takeover[1]} natural conversations it took the user's for its own"
    if right[0] < LEAST_RIGHT:
        return f"only {right[0]:.0%} of what it claimed to know in {right[1]} natural conversations was right"
    return ""


def _natural(card: Mapping[str, Any], name: str) -> Figures:
    found: Figures = card.get("natural", {}).get("readers", {}).get(name, {})
    return found


def _of_length(natural: Figures, figure: str, messages: int) -> tuple[str, float, int] | None:
    """Find a figure for dialogues of this length, or else for all: what they are called, its value and n."""
    slices = {
        1: ("turns: 1", "first messages"),
        2: ("turns: 2 to 4", "conversations of 2 to 4 messages"),
        5: ("turns: 5 or more", "conversations of 5 messages or more"),
    }
    name, kind = slices[max(least for least in slices if least <= max(messages, 1))]
    own = _figure(natural.get(name, {}), figure)
    if own is not None and own[1] >= FEWEST:
        return kind, *own
    every = _figure(natural.get("all", {}), figure)
    return None if every is None else ("conversations", *every)


def _trained_sentence(own: Figures, noun: str) -> str:
    right = _figure(own, "right")
    if right is None:
        return f"Nobody has measured how often this reading of {noun} is right."
    return f"Right in {right[0]:.0%} of {right[1]} dialogues like those of its training; not measured in natural ones."


def _figure(figures: Figures, name: str) -> tuple[float, int] | None:
    """Return a figure's value and n; None if it was not measured."""
    found = figures.get(name)
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    return float(found["value"]), int(found.get("n", 0))
