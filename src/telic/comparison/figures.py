"""The figures of a comparison's report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from telic.comparison.results import ArmResult, ComparisonRun
from telic.episodes import BASELINE
from telic.reports import COLORS, MARKERS, MUTED, LineEnd, figure, label_lines, legend_above, style_axes
from telic.stability.figures import curves_figure, round_axis

__all__ = ["arms_attention_figure", "arms_figure", "pareto_figure"]

WIDTH = 5.0  # inches: its text stays readable on a phone


def arms_figure(compared: Sequence[ArmResult]) -> Figure | None:
    """Stability by round in each arm; None where no round has a score."""
    curves = {arm.name: arm.stability.curve for arm in compared}
    if all(point.stability is None for curve in curves.values() for point in curve):
        return None
    return curves_figure(curves, baseline=BASELINE, width=WIDTH)


def arms_attention_figure(compared: Sequence[ArmResult]) -> Figure | None:
    """Mean attention mass over layers of side b, in its utterances; None where none was read."""
    series = []
    for arm in compared:
        found = [decay for decay in arm.stability.attention if decay.where == "trunk" and decay.role == "b"]
        if found:
            series.append((arm.name, found[0]))
    if not series:
        return None
    drawn = figure(WIDTH, 3.0)
    axes = drawn.add_subplot()
    ends, colored = [], [name for name, _ in series if name != BASELINE]
    for name, decay in series:
        index = colored.index(name) if name in colored else 0
        color = MUTED if name == BASELINE else COLORS[index % len(COLORS)]
        values = [np.nan if mass.value is None else mass.value for mass in decay.mass]
        axes.plot(
            decay.rounds, values, marker=MARKERS[index % len(MARKERS)], markersize=4, color=color,
            linestyle="--" if name == BASELINE else "-",
        )  # fmt: skip
        known = [(round_, value) for round_, value in zip(decay.rounds, values, strict=True) if not np.isnan(value)]
        if known:
            ends.append(LineEnd(*known[-1], name, color))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    round_axis(axes, [round_ for _, decay in series for round_ in decay.rounds])
    axes.set_xlabel("round")
    axes.set_ylabel("attention mass, mean over layers")
    style_axes(axes)
    label_lines(axes, ends)
    return drawn


def pareto_figure(run: ComparisonRun) -> Figure | None:
    """Area under the stability curve against cost, of every strength; None where no strength has both."""
    known = [
        (trial, trial.cost.loss, trial.area)
        for trial in run.trials
        if trial.area is not None and trial.cost.loss is not None
    ]
    if not known:
        return None
    drawn = figure(WIDTH, 3.8)
    axes = drawn.add_subplot()
    kinds = list(dict.fromkeys(trial.kind for trial, _, _ in known))
    for index, kind in enumerate(kinds):
        tried = [(loss, area, trial.chosen) for trial, loss, area in known if trial.kind == kind]
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        axes.plot([t[0] for t in tried], [t[1] for t in tried], color=color, marker=marker, markersize=5, label=kind)
        chosen = [t for t in tried if t[2]]
        axes.scatter([t[0] for t in chosen], [t[1] for t in chosen], s=110, facecolor="none", edgecolor=color)
    base = _baseline_on_tuning(run)
    if base is not None:
        axes.axhline(base, color=MUTED, linewidth=1.2, linestyle=":", label=BASELINE)
    axes.axvline(run.budget, color=MUTED, linewidth=1.2, linestyle="--", label=f"budget, {run.budget:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %".replace("-", "−")))
    axes.set_xlabel("share of questions lost")
    axes.set_ylabel("area under the stability curve")
    style_axes(axes)
    legend_above(axes)
    return drawn


def _baseline_on_tuning(run: ComparisonRun) -> float | None:
    """Return the baseline's area: that of any trial less its gain."""
    for trial in run.trials:
        if trial.area is not None and trial.gain.value is not None:
            return trial.area - trial.gain.value
    return None
