"""What a user says to reach an attacker's goal, where the purpose file does not say it."""

from __future__ import annotations

import re

from telic.purpose_parts import Limit

__all__ = ["asks_of"]

_GOAL = re.compile(
    r"\b(?:get|make|persuade|trick) (?:it|him|her|them|the [\w ]+?) (?:in)?to (.+?)[.!]*\s*$", re.IGNORECASE
)
_IRREGULAR = {"has": "have", "does": "do", "is": "be", "goes": "go"}


def asks_of(limit: Limit) -> tuple[str, ...]:
    """Return the messages of a limit, or one that is made from its goal: "Please quote a price."."""
    if limit.asks:
        return tuple(limit.asks)
    found = _GOAL.search(limit.goal)
    if found and found[1].lower() != "do it":
        return (f"Please {found[1]}.",)
    first, _, rest = limit.name.strip().rstrip(".").partition(" ")
    return (f"Please {_base_form(first)} {rest}".rstrip() + ".",)


def _base_form(verb: str) -> str:
    """Return the base form of a verb in the third person: `quotes` gives `quote`."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    if verb.endswith(("shes", "ches", "sses", "xes", "zes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
