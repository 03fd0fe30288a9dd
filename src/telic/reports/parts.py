"""Parts that all reports share: numbers, intervals, and the section on configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from telic.reports.figures import figure, style_axes
from telic.reports.html import Html, details, element, section, table
from telic.reports.theme import COLORS, MUTED
from telic.runs import versions
from telic.statistics import Interval

__all__ = ["config_section", "interval", "intervals_figure", "number", "p_value", "sentence"]


def sentence(text: str) -> str:
    """Write a clause as a sentence: a capital first letter and a full stop."""
    return text[:1].upper() + text[1:] + "."


def number(value: float | None, *, sign: bool = False) -> str:
    """Write a number with two decimals and a proper minus sign; a missing one as a dash."""
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.2f}".replace("-", "−")


def interval(found: Interval, *, sign: bool = False) -> str:
    """Write an estimate with its interval."""
    value = number(found.value, sign=sign)
    if found.value is None or found.low is None:
        return value
    return f"{value} [{number(found.low, sign=sign)}, {number(found.high, sign=sign)}]"


def p_value(p: float | None) -> str:
    """Write a p-value with three decimals."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def intervals_figure(rows: Sequence[tuple[str, Interval]], own: int, label: str, width: float) -> Figure:
    """Draw estimates with their intervals, one per row, the last on top.

    Args:
        rows: the name and the estimate of each row.
        own: index of the row that the report is about.
        label: label of the axis.
        width: width in inches.
    """
    drawn = figure(width, 0.7 + 0.4 * len(rows))
    axes = drawn.add_subplot()
    for place, (_, found) in enumerate(rows):
        color = COLORS[0] if place == own else MUTED
        if found.value is not None:
            axes.plot(found.value, place, "o", color=color, markersize=7 if place == own else 5)
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [place, place], color=color, linewidth=2)
    names = [name if len(name) < 28 else f"{name[:25]}..." for name, _ in rows]
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(label)
    style_axes(axes)
    return drawn


def config_section(config: Mapping[str, Any], analysis: Mapping[str, Any] | None = None) -> Html:
    """Return the section with a report's settings and versions.

    Args:
        config: the run's configuration, and its `versions` if they were recorded.
        analysis: settings of the analysis, if there are any.
    """
    recorded = config.get("versions") or versions()
    settings = {key: value for key, value in config.items() if key != "versions"}
    if analysis:
        settings["analysis"] = analysis
    rows = [(key, element("span", value, class_="text")) for key, value in _flat(settings)]
    return section(
        "Configuration",
        details("Settings", table(("setting", "value"), rows)),
        details("Versions", table(("package", "version"), _flat(recorded))),
    )


def _flat(data: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings into dotted names and values."""
    if isinstance(data, Mapping) and data:
        return [row for key, value in data.items() for row in _flat(value, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(data, list | tuple) and any(isinstance(value, Mapping) for value in data):
        return [row for i, value in enumerate(data) for row in _flat(value, f"{prefix}.{i}")]
    return [(prefix, str(data))] if prefix else []
