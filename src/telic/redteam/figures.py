"""Figures of a red-teaming run."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from telic.redteam.results import AttackCell
from telic.reports import COLORS, LineEnd, figure, label_lines, style_axes

__all__ = ["survival_figure"]


def survival_figure(cells: Sequence[AttackCell]) -> Figure | None:
    """Draw the share of attacks that have not succeeded yet, by message; None if no attack has a verdict."""
    drawn = [cell for cell in cells if cell.survival]
    if not drawn:
        return None
    longest = max(len(cell.survival) for cell in drawn)
    made = figure(6.4, 3.2)
    axes = made.add_subplot()
    ends = []
    for index, cell in enumerate(drawn):
        curve = [1.0, *cell.survival, *[cell.survival[-1]] * (longest - len(cell.survival))]
        color = COLORS[index % len(COLORS)]
        axes.step(range(len(curve)), curve, where="post", color=color, linewidth=2)
        ends.append(LineEnd(len(curve) - 1, curve[-1], cell.attacker, color))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("messages")
    axes.set_ylabel("share of attacks not successful yet")
    style_axes(axes)
    label_lines(axes, ends)
    return made
