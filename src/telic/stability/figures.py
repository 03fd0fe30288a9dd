"""The figures of a stability report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from telic.reports import (
    COLORS,
    MARKERS,
    MUTED,
    LineEnd,
    figure,
    label_lines,
    legend_above,
    style_axes,
    title_figure,
)
from telic.stability.curves import CurvePoint
from telic.stability.decay import Decay

__all__ = ["attention_figure", "curve_figure", "curves_figure", "families_figure", "heat_figure", "round_axis"]

AttentionPart = Literal["mass", "relative"]
WIDTH = 4.6  # inches: its text stays readable on a phone


def curve_figure(curve: Sequence[CurvePoint], title: str = "") -> Figure:
    """Stability against rounds with its 95 % band, and the tokens seen along the top."""
    drawn = figure(WIDTH, 3.1)
    axes = drawn.add_subplot()
    _curve(axes, curve)
    axes.set_xlabel("rounds played")
    axes.set_ylabel("stability")
    if title:
        axes.set_title(title, parse_math=False)
    style_axes(axes)
    seen = [point for point in curve if point.tokens is not None]
    if seen:
        top = axes.twiny()
        top.set_xlim(axes.get_xlim())
        ticks = [tick for tick in axes.get_xticks() if any(point.round == tick for point in seen)]
        tokens = {point.round: point.tokens or 0 for point in seen}
        top.set_xticks(ticks, [_count(tokens[int(tick)]) for tick in ticks])
        top.set_xlabel("tokens seen")
        style_axes(top)
        top.grid(visible=False)
    return drawn


def curves_figure(
    curves: Mapping[str, Sequence[CurvePoint]],
    title: str = "",
    subtitle: str = "",
    baseline: str = "",
    width: float = 6.6,
    *,
    tokens: bool = False,
) -> Figure:
    """Several stability curves, each with its name at its right end; with 95 % bands where there are two.

    Args:
        curves: the points by name; at most six, besides the baseline.
        title: the finding, above the figure.
        subtitle: what is plotted, such as "Share of probes passed".
        baseline: the name of the curve that the others are compared with. It is grey and dashed.
        width: width in inches.
        tokens: whether the rounds of the points are tokens.
    """
    drawn = figure(width, 3.6 if title else 3.2)
    axes = drawn.add_subplot()
    colored = [name for name in curves if name != baseline]
    ends = []
    for name, curve in curves.items():
        number = colored.index(name) if name in colored else 0
        color = MUTED if name == baseline else COLORS[number % len(COLORS)]
        _curve(axes, curve, color, MARKERS[number % len(MARKERS)], dashed=name == baseline, band=len(curves) <= 2)
        scored = [(point.round, point.stability) for point in curve if point.stability is not None]
        if scored:
            ends.append(LineEnd(*scored[-1], name, color))
    places = [point.round for curve in curves.values() for point in curve]
    if tokens and places:
        axes.set_xlim(0, 1.05 * max(places) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    else:
        round_axis(axes, places)
    axes.set_xlabel("tokens of the dialogue" if tokens else "rounds played")
    if not subtitle:
        axes.set_ylabel("stability")
    style_axes(axes)
    label_lines(axes, ends)
    if title:
        title_figure(drawn, title, subtitle)
    return drawn


def families_figure(families: Mapping[str, Sequence[CurvePoint]], columns: int = 3) -> Figure:
    """The curve of each family as small multiples on the same scales."""
    columns = min(columns, max(1, len(families)))
    rows = -(-max(1, len(families)) // columns)
    drawn = figure(0.3 + 2.3 * columns, 0.3 + 1.8 * rows)
    rounds = [point.round for curve in families.values() for point in curve]
    first: Axes | None = None
    for number, (family, curve) in enumerate(families.items()):
        axes = drawn.add_subplot(rows, columns, number + 1, sharex=first, sharey=first)
        first = first or axes
        _curve(axes, curve, COLORS[number % len(COLORS)])
        round_axis(axes, rounds)
        axes.set_title(family, parse_math=False)
        style_axes(axes)
        axes.label_outer()
    return drawn


def attention_figure(decays: Sequence[Decay], parts: Sequence[AttentionPart] = ("mass", "relative")) -> Figure:
    """Mean attention over layers by round: its mass, and relative to the first round, side by side."""
    drawn = figure(WIDTH * (1 if len(parts) == 1 else 2), 3.2)
    roles = sorted({decay.role for decay in decays})
    for number, part in enumerate(parts, start=1):
        axes = drawn.add_subplot(1, len(parts), number)
        for decay in decays:
            intervals = decay.mass if part == "mass" else decay.relative
            _band(
                axes,
                decay.rounds,
                [interval.value for interval in intervals],
                [interval.low for interval in intervals],
                [interval.high for interval in intervals],
                color=COLORS[roles.index(decay.role) % len(COLORS)],
                label=decay.title,
                dashed=decay.where == "probes",
            )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylabel("attention mass, mean over layers" if part == "mass" else "relative to the first round")
        axes.set_xlabel("round")
        round_axis(axes, [round_ for decay in decays for round_ in decay.rounds])
        style_axes(axes)
        legend_above(axes, columns=2)
    return drawn


def heat_figure(decay: Decay) -> Figure:
    """Attention by round and layer."""
    layers = np.array([[np.nan if value is None else value for value in row] for row in decay.layers], dtype=np.float64)
    drawn = figure(WIDTH, 1.4 + 0.17 * min(len(decay.rounds), 20))
    axes = drawn.add_subplot()
    mesh = axes.pcolormesh(layers, cmap="viridis", vmin=0, edgecolors="face", linewidth=0.2)
    axes.set_yticks(np.arange(len(decay.rounds)) + 0.5, [str(round_) for round_ in decay.rounds])
    axes.xaxis.set_major_locator(FixedLocator([0.5 + i for i in _ticks(layers.shape[1])]))
    axes.set_xticklabels([str(i + 1) for i in _ticks(layers.shape[1])])
    axes.invert_yaxis()
    axes.set_xlabel("layer")
    axes.set_ylabel("round")
    style_axes(axes)
    axes.grid(visible=False)
    bar = drawn.colorbar(mesh, ax=axes, aspect=12, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    return drawn


def _curve(
    axes: Axes,
    curve: Sequence[CurvePoint],
    color: str = COLORS[0],
    marker: str = MARKERS[0],
    *,
    dashed: bool = False,
    band: bool = True,
) -> None:
    rounds = [point.round for point in curve]
    _band(
        axes,
        rounds,
        [point.stability for point in curve],
        [point.low if band else None for point in curve],
        [point.high if band else None for point in curve],
        color=color,
        marker=marker,
        dashed=dashed,
    )
    axes.set_ylim(0, 1.02)
    round_axis(axes, rounds)


def _band(
    axes: Axes,
    rounds: Sequence[int],
    values: Sequence[float | None],
    lows: Sequence[float | None],
    highs: Sequence[float | None],
    *,
    color: str,
    marker: str = MARKERS[0],
    label: str = "",
    dashed: bool = False,
) -> None:
    """A line with its band; what is missing leaves a gap."""
    value, low, high = (
        np.array([np.nan if x is None else x for x in column], dtype=np.float64) for column in (values, lows, highs)
    )
    axes.fill_between(rounds, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(
        rounds,
        value,
        color=color,
        marker=marker,
        markersize=4,
        linewidth=1.7,
        linestyle="--" if dashed else "-",
        label=label,
    )


def round_axis(axes: Axes, rounds: Sequence[int]) -> None:
    """Ticks at rounds only, with room at both ends."""
    if rounds:
        axes.set_xlim(min(rounds) - 0.3, max(rounds) + 0.3)
        played = sorted(set(rounds))
        axes.set_xticks(played[:: -(-len(played) // 10)])


def _ticks(layers: int) -> list[int]:
    """Numbers of at most eight layers to label."""
    return list(range(0, layers, -(-layers // 8)))


def _count(tokens: float) -> str:
    return f"{tokens:.0f}" if tokens < 1000 else f"{tokens / 1000:.1f}k"
