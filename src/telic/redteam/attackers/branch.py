"""Reading the tree of exchanges."""

from __future__ import annotations

from collections.abc import Sequence

from telic.redteam.attackers.base import START, AttackExchange

__all__ = ["branch_to", "first_sentence", "transcript"]

QUOTED = 120
"""Most characters of a quotation."""


def branch_to(exchanges: Sequence[AttackExchange], number: int | None) -> list[AttackExchange]:
    """Return the exchanges of a dialogue, from its first to that of a number; none for `START`."""
    path: list[AttackExchange] = []
    while number is not START:
        path.append(exchanges[number])
        number = exchanges[number].after
    return path[::-1]


def transcript(exchanges: Sequence[AttackExchange]) -> str:
    """Write exchanges down for an attacker's mind."""
    lines = [f"You: {one.said}\nAssistant: {one.reply}" for one in exchanges]
    return "\n".join(lines) or "(Nothing was said yet.)"


def first_sentence(reply: str) -> str:
    """Return what a message can quote of a reply: its first sentence, without line breaks."""
    text = " ".join(reply.split()).replace('"', "'")
    for end in (". ", "! ", "? "):
        text = text.split(end)[0] + (end.strip() if end in text else "")
    return text if len(text) <= QUOTED else f"{text[:QUOTED].rsplit(' ', 1)[0]} ..."
