"""One way to say something about oneself, and the pieces that such patterns share. They match masked text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["ADV", "AM", "HAVE", "PHRASE", "SHORT", "STARTS", "WE", "WE_ARE", "StatementPattern"]


@dataclass(frozen=True, slots=True)
class StatementPattern:
    """One way to say something about oneself."""

    slot: str
    """What it is about. `{n}` stands for the group `n`."""
    regex: re.Pattern[str]
    """With a group `v`, the value."""
    polarity: int = 1
    once: bool = False
    """Whether it is a request, which holds in its conversation only."""
    update: bool = False
    """Whether it says that something changed."""
    weight: float = 1.0
    form: Literal["phrase", "as is", "name", "place"] = "phrase"
    """How the value is cut. `phrase`: what does not belong to it is trimmed. `as is`: not at all. `name`: words with
    capital letters, or none. `place`: the same, but the first word or two where the user writes without capitals."""
    asks: bool = False
    """Whether it is also meant where it is a question: "could you call me Ann?"."""
    past: bool = False
    """Whether it holds although it tells of the past: where somebody was born."""
    lone: bool = False
    """Whether it holds only in a sentence that mentions no other person."""
    message: bool = False
    """Whether it is searched for in the whole message, not in each sentence."""
    plain: bool = False
    """Whether it is so certain that a plan ("I might") before it does not matter."""


ADV = (
    r"(?:(?:\w{2,}ly|also|still|just|always|often|quite|rather|now|already|much|so|very|do|even|both|all|full[- ]time|part[- ]time|"
    r"long|since|of course|kind of|sort of|too|ever|back|over|out|up|down|here|sadly|proper|basically|pretty|dead|well|mainly|mostly|these days|once again) )*"
)
AM = r"\bi(?:'m| am|m) "
WE = r"\b(?:i|we|(?:me|my \w+) and (?:me|i|my \w+|the \w+))"
WE_ARE = r"\b(?:i(?:'m| am|m)|we(?:'re| are|re)|(?:me|my \w+) and (?:me|i|my \w+) are|the (?:two|three|pair|lot|whole lot) of us are) "
HAVE = r"\bi(?:'ve(?: got)?| have(?: got)?|ve(?: got)?|'ve always| have always) "
PHRASE = r"(?P<v>[^,;:.!?()\n]+(?:[.,]\d+[^,;:.!?()\n]*)*)"
STARTS = r"(?:^|[,;:] )(?:and |but |so |also |honestly |that |tbh |though )?"
"""Where a clause begins: a value that comes first is searched for from there only, which is quick."""
SHORT = r"(?P<v>[^,;:!?()\n]{1,60}?)"
