"""The report of a comparison of controls: stability against cost, curves by round, attention by round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from telic.comparison.results import ArmDifference, ArmResult, ComparisonRun, TuningTrial
from telic.episodes import BASELINE
from telic.reports import (
    COLORS,
    INK,
    MUTED,
    Html,
    element,
    figure,
    figure_svg,
    save_png,
    section,
    style_axes,
    write_report,
)
from telic.reports import table as html_table
from telic.reports.parts import config_section, interval, number, p_value, sentence

__all__ = ["write_comparison_report"]

LANGUAGE = (
    "Replies to neutral prompts after some small talk, with each control and without one: divergence of the next-token "
    "distributions in nats per token, the ratio of perplexities under the model without a control, and the change in "
    "the share of distinct word pairs and in length (tokens)."
)
WIDTH = 5.4  # inches: its text stays readable on a phone


def write_comparison_report(folder: Path, run: ComparisonRun) -> Path:
    """Write `report.html`, `pareto.png` and `curves.png`; returns the path of the page."""
    pareto, curves = _pareto(run), _curves(run.compared)
    save_png(pareto, folder / "pareto.png")
    save_png(curves, folder / "curves.png")
    sections = [
        section(
            "Held-out dialogues",
            element("p", "No strength was chosen on these dialogues. Gains are paired by dialogue."),
            _compared_table(run),
            figure_svg(curves, "Stability by round under each control"),
        ),
        section("Language", element("p", LANGUAGE), _language_table(run.compared)),
        section(
            "Stability against cost",
            figure_svg(
                pareto,
                "Area under the stability curve against the share of questions lost, on the tuning part",
                f"Every strength that was tried. The vertical line is the budget: {run.budget:.1%} of the questions.",
            ),
            _trials_table(run.trials),
        ),
    ]
    attention = _attention(run.compared)
    if attention is not None:
        save_png(attention, folder / "attention.png")
        sections.insert(
            1,
            section(
                "Attention to the system prompt",
                figure_svg(attention, "Attention mass on the system prompt by round under each control"),
            ),
        )
    sections.append(config_section(run.document, {"episodes": len(run.episodes)}))
    title = f"Controls for {run.document.get('name', 'a purpose')}"
    return write_report(folder, title, sentence(run.headline), *sections)


def _pareto(run: ComparisonRun) -> Figure:
    drawn = figure(WIDTH, 3.6)
    axes = drawn.add_subplot()
    for index, kind in enumerate(dict.fromkeys(trial.kind for trial in run.trials)):
        tried = [
            (t.cost.loss, t.area, t.chosen)
            for t in run.trials
            if t.kind == kind and t.area is not None and t.cost.loss is not None
        ]
        color = _color(index + 1)
        axes.plot([t[0] for t in tried], [t[1] for t in tried], color=color, marker="o", markersize=4, label=kind)
        chosen = [t for t in tried if t[2]]
        axes.scatter([t[0] for t in chosen], [t[1] for t in chosen], s=90, facecolor="none", edgecolor=color)
    base = _baseline_on_tuning(run)
    if base is not None:
        axes.axhline(base, color=MUTED, linewidth=1, linestyle=":", label=BASELINE)
    axes.axvline(run.budget, color=MUTED, linewidth=1, linestyle="--")
    axes.set_xlabel("share of questions lost")
    axes.set_ylabel("area under the stability curve")
    style_axes(axes)
    if run.trials:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    return drawn


def _color(index: int) -> str:
    """Return the color of the arm at an index; the first is the baseline."""
    return COLORS[(index - 1) % len(COLORS)] if index else MUTED


def _baseline_on_tuning(run: ComparisonRun) -> float | None:
    """Return the baseline's area: that of any trial less its gain."""
    for trial in run.trials:
        if trial.area is not None and trial.gain.value is not None:
            return trial.area - trial.gain.value
    return None


def _curves(compared: Sequence[ArmResult]) -> Figure:
    drawn = figure(WIDTH, 3.4)
    axes = drawn.add_subplot()
    for index, arm in enumerate(compared):
        values = [np.nan if p.stability is None else p.stability for p in arm.stability.curve]
        axes.plot(
            [p.round for p in arm.stability.curve], values, marker="o", markersize=3.5, label=arm.name,
            color=_color(index), linestyle="--" if arm.spec is None else "-",
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("rounds played")
    axes.set_ylabel("stability")
    style_axes(axes)
    for text in axes.legend(frameon=False, fontsize=8, labelcolor=INK).get_texts():
        text.set_parse_math(False)
    return drawn


def _attention(compared: Sequence[ArmResult]) -> Figure | None:
    """Plot the mean attention mass over layers of side b, in its utterances; None where none was read."""
    series = []
    for arm in compared:
        found = [decay for decay in arm.stability.attention if decay.where == "trunk" and decay.role == "b"]
        if found:
            series.append((arm, found[0]))
    if not series:
        return None
    drawn = figure(WIDTH, 3.0)
    axes = drawn.add_subplot()
    for index, (arm, decay) in enumerate(series):
        values = [np.nan if mass.value is None else mass.value for mass in decay.mass]
        axes.plot(decay.rounds, values, marker="o", markersize=3.5, color=_color(index), label=arm.name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("round")
    axes.set_ylabel("attention mass, mean over layers")
    style_axes(axes)
    for text in axes.legend(frameon=False, fontsize=8, labelcolor=INK).get_texts():
        text.set_parse_math(False)
    return drawn


def _compared_table(run: ComparisonRun) -> Html:
    header = [
        "control",
        "area under the curve",
        "gain over the baseline",
        "adjusted p",
        "utterances that follow it",
        "gain in these",
        "questions lost",
        "recall lost",
        "best control's lead",
    ]
    general = any(arm.bank for arm in run.compared)
    rows = []
    for arm in run.compared:
        area = arm.stability.area
        row = [
            arm.name,
            interval(area),
            _difference(arm.gain),
            "" if arm.gain is None else p_value(arm.gain.p),
            "" if arm.spoken is None else interval(arm.spoken.kept),
            _difference(arm.spoken_gain),
            *("" if cost is None else cost.summary for cost in (arm.cost, arm.recall)),
            _difference(run.versus.get(arm.name)),
        ]
        rows.append([*row, _difference(arm.bank_gain)] if general else row)
    return html_table([*header, *(["gain on the bank"] if general else [])], rows)


def _language_table(compared: Sequence[ArmResult]) -> Html:
    rows = [
        [
            arm.name,
            interval(arm.language.kl),
            interval(arm.language.perplexity_ratio),
            interval(arm.language.distinct2.difference, sign=True),
            interval(arm.language.length.difference, sign=True),
        ]
        for arm in compared
        if arm.language is not None
    ]
    return html_table(["control", "divergence", "perplexity ratio", "distinct pairs", "length"], rows)


def _trials_table(trials: Sequence[TuningTrial]) -> Html:
    rows = [
        [
            trial.name,
            number(trial.area),
            _difference(trial.gain),
            trial.cost.summary,
            "" if trial.recall is None else trial.recall.summary,
            "chosen" if trial.chosen else "" if trial.affordable else "over the budget",
        ]
        for trial in trials
    ]
    return html_table(["control", "area", "gain over the baseline", "questions lost", "recall lost", ""], rows)


def _difference(found: ArmDifference | None) -> str:
    return "" if found is None else interval(found.interval, sign=True)
