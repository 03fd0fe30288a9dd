"""Curves that grow in the terminal while dialogues are played."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

__all__ = ["LiveChart"]

WIDTH, HEIGHT = 56, 11
"""Size of the area that the curves are drawn in, in characters."""
STYLES = ("dark_orange", "dodger_blue1")
POINTS = ("o", "●")
"""One mark for each curve, so that they can be told apart without colours."""


class LiveChart:
    """The mean score of each arm by round, drawn in characters.

    Args:
        arms: names of the curves, in the order of their styles; two at most.
        rounds: the last round.
    """

    def __init__(self, arms: Sequence[str], rounds: int) -> None:
        self._arms = dict(zip(arms, zip(STYLES, POINTS, strict=True), strict=False))
        self._rounds = max(rounds, 1)
        self._scores: defaultdict[tuple[str, int], list[float]] = defaultdict(list)

    def add(self, arm: str, round_: int, scores: Sequence[float | None]) -> None:
        """Add scores in [0, 1]; missing ones are left out."""
        self._scores[arm, round_].extend(score for score in scores if score is not None)

    def curve(self, arm: str) -> list[tuple[int, float]]:
        """Return the mean score of an arm at each round that has any."""
        return [
            (round_, sum(scores) / len(scores))
            for (name, round_), scores in sorted(self._scores.items())
            if name == arm and scores
        ]

    def __rich__(self) -> Text:
        """Draw the chart."""
        cells: dict[tuple[int, int], tuple[str, str]] = {}
        for arm, (style, mark) in self._arms.items():
            self._draw(cells, self.curve(arm), style, mark)
        chart = Text("\nprobes that the chatbot follows\n")
        for row in range(HEIGHT - 1, -1, -1):
            label = f"{row / (HEIGHT - 1):.0%}" if row % 5 == 0 else ""
            chart.append(f"{label:>5} │", "dim")
            for column in range(WIDTH):
                chart.append(*cells.get((row, column), (" ", "")))
            chart.append("\n")
        chart.append("      └" + "─" * WIDTH + "\n", "dim")
        ticks = [" "] * (WIDTH + 1)
        for round_ in sorted({round_ for _, round_ in self._scores}):
            ticks[self._column(round_)] = str(round_)
        chart.append("       " + "".join(ticks).rstrip() + "   rounds played\n", "dim")
        for arm, (style, mark) in self._arms.items():
            curve = self.curve(arm)
            reached = f"{curve[-1][1]:.0%} after round {curve[-1][0]}" if curve else "not asked yet"
            chart.append(f"       {mark} {arm:<12} {reached}\n", style)
        return chart

    def _column(self, round_: float) -> int:
        return round(round_ / self._rounds * (WIDTH - 1))

    def _draw(
        self, cells: dict[tuple[int, int], tuple[str, str]], curve: list[tuple[int, float]], style: str, mark: str
    ) -> None:
        """Draw a curve: a mark at each point, dots on the lines between them."""
        for (start, low), (end, high) in pairwise(curve):
            first, last = self._column(start), self._column(end)
            for column in range(first + 1, last):
                value = low + (high - low) * (column - first) / (last - first)
                cells[round(value * (HEIGHT - 1)), column] = ("·", style)
        for round_, value in curve:
            cells[round(value * (HEIGHT - 1)), self._column(round_)] = (mark, style)
