"""Attention to the purpose over the replies of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from telic.server.records import StoredTurn

__all__ = ["attention_relative_to_first"]


def attention_relative_to_first(turns: Sequence[StoredTurn]) -> dict[int, float]:
    """Compute the attention to the system prompt at each reply that has a reading, relative to the first such reply.

    Attention is the mass on the system prompt, mean over layers (as in `telic measure`).

    Returns:
        By position of the reply; 1 is the first reply's attention.
    """
    masses = {
        turn.position: sum(layers) / len(layers)
        for turn in turns
        if (layers := [mass for mass in turn.readings.get("attention") or () if mass is not None])
    }
    first = next(iter(masses.values()), 0.0)
    return {position: mass / first for position, mass in masses.items()} if first else {}
