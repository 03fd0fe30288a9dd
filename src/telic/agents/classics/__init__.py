"""Early conversational programs, reimplemented from their published descriptions."""

from telic.agents.classics.base import Classic
from telic.agents.classics.eliza import Eliza
from telic.agents.classics.parry import Parry
from telic.agents.classics.restaurant import Restaurant

__all__ = ["CLASSICS", "Classic", "Eliza", "Parry", "Restaurant"]

CLASSICS: dict[str, type[Classic]] = {kind.name: kind for kind in (Eliza, Parry, Restaurant)}
"""The classics by name."""
