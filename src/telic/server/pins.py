"""Pins of a conversation: what the model is to take the user, or itself, to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["STRENGTH", "STRENGTHS", "Direction", "Pins"]

Direction = Literal["towards", "away"]
"""Pinned as most likely, or as most unlikely."""

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Offered to choose from, in standard deviations of the states along a direction."""
STRENGTH = 2.0
"""The first choice: at 1 the bundled model often keeps to what it believes, at 4 its language suffers."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What is pinned: the options of the control `belief`."""

    towards: Mapping[str, str] = field(default_factory=dict)
    """By reader, such as `user_age`: the class that is pinned as most likely."""
    away: Mapping[str, str] = field(default_factory=dict)
    """By reader: the class that is pinned as most unlikely."""
    strength: float = STRENGTH
    """How far, in standard deviations."""

    def __bool__(self) -> bool:
        return bool(self.towards or self.away)

    def direction(self, reader: str, label: str) -> Direction | None:
        """How a class is pinned; None if it is not."""
        if self.towards.get(reader) == label:
            return "towards"
        return "away" if self.away.get(reader) == label else None

    def toggled(self, reader: str, label: str, direction: Direction) -> Pins:
        """Pin a class, or take that very pin out. A reader has one pin of each direction, a class one of either."""
        towards, away = dict(self.towards), dict(self.away)
        own, other = (towards, away) if direction == "towards" else (away, towards)
        if own.get(reader) == label:
            del own[reader]
        else:
            own[reader] = label
            if other.get(reader) == label:
                del other[reader]
        return replace(self, towards=towards, away=away)

    def each(self) -> list[tuple[str, str, Direction]]:
        """All pins: reader, class, direction."""
        towards: list[tuple[str, str, Direction]] = [(*pin, "towards") for pin in self.towards.items()]
        return [*towards, *((*pin, "away") for pin in self.away.items())]

    @classmethod
    def of_setup(cls, setup: Mapping[str, Any], purposes: Sequence[Mapping[str, Any]] = ()) -> Pins:
        """The pins under which a reply was given.

        Args:
            setup: the reply's.
            purposes: specifications of the purpose's own controls, of which some may pin beliefs.
        """
        for spec in reversed(setup.get("controls", ())):
            if spec.get("name") == "belief" and spec not in purposes:
                options = {key: spec[key] for key in ("towards", "away", "strength") if spec.get(key) is not None}
                return cls(**options)
        return cls()
