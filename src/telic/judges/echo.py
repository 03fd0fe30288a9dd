"""Replies without the words that their user said first: a guess that a reply repeats gives nothing away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from telic.judges.rules import normalise

if TYPE_CHECKING:
    from telic.purpose_parts import Echo

__all__ = ["without_echo"]

_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|"
    "eighty|ninety|hundred|thousand"
)
_TOKENS = {"words": re.compile(r"\w{3,}"), "numbers": re.compile(rf"\d+(?:[.,]\d+)*|\b(?:{_NUMBERS})\b", re.IGNORECASE)}


def without_echo(reply: str, said: str, echo: Echo) -> str:
    """Mask the user's words in a reply to "No, it is not velvet".

    Args:
        reply: the reply.
        said: all that the user has said.
        echo: which words are masked; `counts` masks none.
    """
    if echo == "counts":
        return reply
    token = _TOKENS[echo]
    known = {normalise(word) for word in token.findall(said)}
    return token.sub(lambda hit: "…" if normalise(hit[0]) in known else hit[0], reply)
