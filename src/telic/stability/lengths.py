"""Stability by tokens instead of rounds: probes along recorded dialogues, whose rounds differ in length."""

from __future__ import annotations

import math
from collections.abc import Iterable

from telic.episodes import Episode

__all__ = ["MARKS", "at_marks", "token_step"]

MARKS = 20
"""At most so many marks along the longest dialogue."""


def token_step(apart: int, longest: int) -> int:
    """Return the distance of marks: a multiple of the tokens between probes, with at most `MARKS` in the longest."""
    return apart * max(1, math.ceil(longest / (MARKS * apart)))


def at_marks(episodes: Iterable[Episode], step: int) -> list[Episode]:
    """Put each probe at the nearest mark: the rounds of its branch become tokens.

    Whatever analyses rounds analyses tokens then. Only probes before the dialogue are at 0.

    Args:
        episodes: those of recorded dialogues, with their lengths by round.
        step: tokens between two marks.
    """
    marked = []
    for episode in episodes:
        lengths = episode.metadata["lengths"]
        branches = [
            branch.model_copy(update={"round": step * max(1, round(lengths[branch.round] / step))})
            if branch.round
            else branch
            for branch in episode.branches
        ]
        marked.append(episode.model_copy(update={"branches": branches}))
    return marked
