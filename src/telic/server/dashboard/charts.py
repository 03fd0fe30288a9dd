"""Curves with bands, for charts of the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["COLOURS", "MUTED", "SYMBOLS", "curve_with_band"]

COLOURS = ("#3b6fd9", "#d9772b", "#2f9e6e", "#b04fb8", "#c2403c", "#7d8a2e")
SYMBOLS = ("circle", "rect", "triangle", "diamond", "pin", "arrow")
"""The mark of each curve, for eyes that do not tell the colours apart."""
MUTED = "#808692"
"""Colour of text in a chart, readable on a light and a dark background."""


def curve_with_band(
    name: str,
    points: Sequence[Mapping[str, Any]],
    colour: str = COLOURS[0],
    symbol: str = SYMBOLS[0],
    stack: str = "band",
) -> list[dict[str, Any]]:
    """Make the series of a curve with its interval. A band is two stacked areas, the lower one invisible.

    Args:
        name: name of the curve.
        points: each with `x` and `value`, and with `low` and `high` if it has an interval.
        colour: of the line and the band.
        symbol: of the points.
        stack: a name that no other curve of the chart has.
    """
    banded = [p for p in points if p.get("low") is not None and p.get("high") is not None]
    plain = {"type": "line", "symbol": "none", "silent": True, "tooltip": {"show": False}, "stack": stack}
    invisible = {**plain, "lineStyle": {"opacity": 0}}
    return [
        {**invisible, "data": [[p["x"], p["low"]] for p in banded]},
        {
            **invisible,
            "data": [[p["x"], p["high"] - p["low"]] for p in banded],
            "areaStyle": {"color": colour, "opacity": 0.12},
        },
        {
            "type": "line",
            "name": name,
            "symbol": symbol,
            "symbolSize": 7,
            "data": [[p["x"], p["value"]] for p in points],
            "itemStyle": {"color": colour},
            "lineStyle": {"color": colour, "width": 2},
        },
    ]
