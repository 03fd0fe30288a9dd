"""The report of a gate: every check with its intervals, n and margin."""

from __future__ import annotations

from pathlib import Path

from telic.promotion.gate_results import GateResult
from telic.promotion.versions import Versions
from telic.reports import Html, element, section, table, write_report
from telic.reports.parts import interval, sentence

__all__ = ["gate_section", "gate_sections", "write_gate_report"]

HOW = (
    "Both versions met the same games, users, attacks and prompts with the same seeds. Higher is better. A check is "
    "passed if the lower end of the difference, a one-sided 95 % bound over pairs, is above the negative margin."
)


def gate_section(result: GateResult) -> Html:
    """Return the checks as a section of a report."""
    rows = [
        (
            check.name,
            check.verdict,
            "" if check.candidate is None else interval(check.candidate),
            "" if check.served is None else interval(check.served),
            "" if check.difference is None else interval(check.difference),
            "" if check.margin is None else f"{check.margin:g}",
            "" if check.difference is None else str(check.difference.n),
        )
        for check in result.checks
    ]
    columns = ("check", "verdict", result.version, result.served, "difference", "margin", "n")
    notes = [
        element("p", f"{check.name}: {'. '.join(filter(None, (check.measure, check.note)))}.", class_="note")
        for check in result.checks
    ]
    return section(
        f"Gate of {result.version}",
        element("p", sentence(result.headline)),
        element("div", table(columns, rows), class_="numbers"),
        element("p", HOW, class_="note"),
        *notes,
    )


def gate_sections(versions: Versions) -> list[Html]:
    """Return a section for each version whose gate was run, the newest first."""
    results = [GateResult.read(versions, one.name) for one in reversed(versions.all())]
    return [gate_section(one) for one in results if one is not None]


def write_gate_report(versions: Versions, result: GateResult) -> Path:
    """Write `report.html` into the folder of the version; returns its path."""
    title = f"Gate of {result.version} of {versions.purpose}"
    return write_report(versions.path(result.version), title, sentence(result.headline), gate_section(result))
