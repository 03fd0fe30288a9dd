"""Pinned beliefs of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["DEFAULT_STRENGTH", "STRENGTHS", "Direction", "Pins"]

Direction = Literal["towards", "away"]
"""Whether a class is pinned as most likely or as most unlikely."""

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Strengths that the dashboard offers, in standard deviations of the hidden states along a direction."""
DEFAULT_STRENGTH = 1.0
"""At 1 the replies' perplexity is 1.3 times that of free ones on the bundled model, and at 2 three times."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Pinned beliefs: the options of the control `belief`."""

    towards: Mapping[str, str] = field(default_factory=dict)
    """For each reader, such as `user_age`, the class that is pinned as most likely."""
    away: Mapping[str, str] = field(default_factory=dict)
    """For each reader, the class that is pinned as most unlikely."""
    strength: float = DEFAULT_STRENGTH
    """How far the hidden states are moved, in standard deviations."""

    def __bool__(self) -> bool:
        return bool(self.towards or self.away)

    def direction(self, reader: str, label: str) -> Direction | None:
        """Return how a class is pinned; None if it is not."""
        if self.towards.get(reader) == label:
            return "towards"
        return "away" if self.away.get(reader) == label else None

    def not_followed(self, reader: str, likeliest: str) -> str:
        """Say which pin a reading under these pins does not follow; empty if it follows.

        Args:
            reader: the reader, such as `user_age`.
            likeliest: the class that it finds most likely.
        """
        wanted = self.towards.get(reader, likeliest)
        if wanted != likeliest:
            return f"Pinned as {wanted}, which did not hold: most likely is {likeliest}."
        return f"Pinned as not {likeliest}, which did not hold." if self.away.get(reader) == likeliest else ""

    def toggled(self, reader: str, label: str, direction: Direction) -> Pins:
        """Return these pins with one added, or removed if it is there.

        A reader has at most one pin of each direction, and a class at most one pin.
        """
        towards, away = dict(self.towards), dict(self.away)
        own, other = (towards, away) if direction == "towards" else (away, towards)
        if own.get(reader) == label:
            del own[reader]
        else:
            own[reader] = label
            if other.get(reader) == label:
                del other[reader]
        return replace(self, towards=towards, away=away)

    def triples(self) -> list[tuple[str, str, Direction]]:
        """List all pins as (reader, class, direction)."""
        towards: list[tuple[str, str, Direction]] = [(*pin, "towards") for pin in self.towards.items()]
        return [*towards, *((*pin, "away") for pin in self.away.items())]

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any], other_controls: Sequence[Mapping[str, Any]] = ()) -> Pins:
        """Find the pins of a reply in its setup.

        Args:
            setup: the setup of the reply.
            other_controls: specifications of controls that are not pins, such as a purpose's own control `belief`.
        """
        for spec in reversed(setup.get("controls", ())):
            if spec.get("name") == "belief" and spec not in other_controls:
                options = {key: spec[key] for key in ("towards", "away", "strength") if spec.get(key) is not None}
                return cls(**options)
        return cls()
