"""The scores of a monitor beside those of its rivals, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telic.cli.output import print_line, print_table

__all__ = ["print_monitor_figures"]

PARTS = {"test": "attackers seen in training", "held out": "held out"}


def print_monitor_figures(figures: Mapping[str, Any]) -> None:
    """Print TurnGate's F1 of a monitor and its rivals, on the test and on attackers that were held out.

    Args:
        figures: the figures in a monitor's `config.json`.
    """
    rivals: Mapping[str, Mapping[str, Any]] = figures.get("rivals", {})
    scored = {"monitor": figures, **{name: one for name, one in rivals.items() if "reason" not in one}}
    for part, title in PARTS.items():
        if part not in figures:
            continue
        held_out = ", ".join(figures[part].get("attackers", ()))
        rows = [_row(name, one[part], one["ms a turn"]) for name, one in scored.items()]
        header = ("", "F1", "vs. the monitor", "benign passed", "phi", "benign", "attacks", "ms per turn")
        print_table(header, rows, title=f"{title}: {held_out}" if held_out else title)
        print_line()
    for name, one in rivals.items():
        if "reason" in one:
            print_line(f"Without {name}: {one['reason']}.")
        elif one.get("undecided"):
            print_line(f"The {name} could not grade {one['undecided']:.0%} of the turns; these count as passed.")


def _row(name: str, scores: Mapping[str, Any], milliseconds: float) -> tuple[str, ...]:
    cost = f"{milliseconds:.3g}"
    if scores["F1"] is None:
        return name, scores["reason"], "", "", "", "", "", cost
    less = scores.get("less the monitor")
    return (
        name,
        _estimate({"value": scores["F1"], **scores}),
        "" if less is None else _estimate(less, sign="+"),
        f"{scores['pass_through']:.2f}",
        f"{scores['phi']:.2f}",
        str(scores["benign"]),
        str(scores["attacks"]),
        cost,
    )


def _estimate(found: Mapping[str, Any], sign: str = "") -> str:
    value = f"{found['value']:{sign}.2f}"
    return value if found["low"] is None else f"{value} [{found['low']:{sign}.2f}, {found['high']:{sign}.2f}]"
