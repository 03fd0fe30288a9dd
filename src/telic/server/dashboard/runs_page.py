"""The page of runs, with stability curves and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.responses import FileResponse
from nicegui import app as pages
from nicegui import ui
from starlette.requests import Request
from starlette.responses import Response

from telic.errors import TelicError
from telic.runs import RunFolder
from telic.server.dashboard.elements import box, text
from telic.server.dashboard.frame import frame
from telic.server.dashboard.login import page_service
from telic.server.dashboard.paths import PATH
from telic.server.errors import ApiError
from telic.server.http_responses import error_response

__all__ = ["ListedRun", "find_report", "list_runs", "register_runs_page"]

REPORT = "report.html"
# Telic's reports load and run nothing. With this policy, no other file in their place can, nor can it submit forms.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; sandbox"
RESPONSE_TIMEOUT = 30
"""Longest time to read the run folders, in seconds."""
MAX_RUNS = 100
"""Runs in the list, latest first."""
MAX_CURVES = 6
"""Curves in the chart; more would be hard to tell apart."""
COLOURS = ("#3b6fd9", "#d9772b", "#2f9e6e", "#b04fb8", "#c2403c", "#7d8a2e")
MUTED = "#808692"
"""Colour of text in a chart, readable on a light and a dark background."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in the list."""

    name: str
    started: str
    episodes: int | None
    """Number of episodes so far; None if the run cannot be read."""
    curve: Sequence[dict[str, Any]]
    """Points of the stability curve: round, stability, low, high, n. Only a complete measurement has one."""
    has_report: bool


def list_runs(root: str | Path) -> list[ListedRun]:
    """List the runs in a folder, latest first, including damaged ones."""
    return [_read(run) for run in reversed(RunFolder.list(root)[-MAX_RUNS:])]


def _read(run: RunFolder) -> ListedRun:
    document: dict[str, Any] = {}
    episodes: int | None = None
    curve: Sequence[dict[str, Any]] = ()
    with suppress(TelicError, ValueError, OSError, KeyError, TypeError):
        document = run.document
        episodes = _count_lines(run.episodes.path)
        found = [record["stability"] for record in run.read_metrics() if "stability" in record]
        curve = _points(found[-1]["curve"]) if found else ()
    started = str(document.get("started", "?"))[:16].replace("T", " ")
    return ListedRun(run.path.name, started, episodes, curve, _report_of(run) is not None)


def _points(curve: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Convert a curve to numbers, without the rounds that have no score."""
    return [
        {"round": int(point["round"]), "stability": float(point["stability"]), "n": int(point["n"]), **_interval(point)}
        for point in curve
        if point["stability"] is not None
    ]


def _interval(point: dict[str, Any]) -> dict[str, float]:
    low, high = point.get("low"), point.get("high")
    return {} if low is None or high is None else {"low": float(low), "high": float(high)}


def find_report(root: str | Path, name: str) -> Path | None:
    """Return the report of a run; None if it has none."""
    return next((_report_of(run) for run in RunFolder.list(root) if run.path.name == name), None)


def _report_of(run: RunFolder) -> Path | None:
    report = run.path / REPORT
    return report if report.is_file() and not report.is_symlink() else None  # a link may point to any file


def _count_lines(path: Path) -> int:
    """Count episodes without parsing them: a run may have thousands."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))


def register_runs_page() -> None:
    """Register the page and the reports with NiceGUI."""

    @ui.page("/runs", response_timeout=RESPONSE_TIMEOUT)
    async def runs(request: Request) -> None:
        service = page_service(request)
        listed = await asyncio.to_thread(list_runs, service.config.runs)
        with frame(request, "runs"), box("div", "runs-page"):
            _show_runs(listed, service.config.runs)

    @pages.get("/runs/{name}/report")
    def report(request: Request, name: str) -> Response:
        path = find_report(page_service(request).config.runs, name)
        if path is None:
            return error_response(ApiError(404, f"there is no report of run {name!r}"))
        return FileResponse(path, headers={"Content-Security-Policy": POLICY})


def _show_runs(listed: Sequence[ListedRun], root: str) -> None:
    text("Runs", "h2")
    if not listed:
        text(f"No runs in {root}. Make one with: telic measure", "p", "hint")
        return
    measured = [run for run in listed if run.curve]
    colours = dict(zip([run.name for run in measured[:MAX_CURVES]], COLOURS, strict=False))
    if colours:
        with box("figure", "curves", role="img", aria_label="Stability over rounds; the table below has the numbers"):
            ui.echart(_chart([(run, colours[run.name]) for run in measured[:MAX_CURVES]])).classes("curves-chart")
            more = f" The latest {MAX_CURVES} of {len(measured)}." if len(measured) > MAX_CURVES else ""
            text(f"Instruction stability over rounds, with 95 % intervals.{more}", "figcaption", "hint")
    with box("div", "scroll", tabindex="0", role="region", aria_label="List of runs"), box("table"):
        with box("thead"), box("tr"):
            for heading in ("Run", "Started", "Episodes", "Stability, first to last round", "Report"):
                text(heading, "th", scope="col")
        with box("tbody"):
            for run in listed:
                _show_row(run, colours.get(run.name))


def _show_row(run: ListedRun, colour: str | None) -> None:
    with box("tr"):
        with box("th", scope="row"):
            if colour is not None:
                box("span", "swatch", aria_hidden="true").style(f"background: {colour}")
            text(run.name)
        text(run.started, "td")
        text("damaged" if run.episodes is None else str(run.episodes), "td", "number")
        text(_curve_summary(run.curve), "td")
        with box("td"):
            if run.has_report:
                text("open", "a", href=f"{PATH}/runs/{quote(run.name)}/report", aria_label=f"Report of {run.name}")
            else:
                text("none", "span", "hint")


def _curve_summary(curve: Sequence[dict[str, Any]]) -> str:
    if not curve:
        return "–"
    first, last = curve[0], curve[-1]

    def describe(point: dict[str, Any]) -> str:
        between = f" [{point['low']:.2f}, {point['high']:.2f}]" if "low" in point else ""
        return f"{point['stability']:.2f}{between}"

    return f"{describe(first)} → {describe(last)}, n = {last['n']}"


def _chart(runs: Sequence[tuple[ListedRun, str]]) -> dict[str, Any]:
    """Make a chart with a line and a band for each run. A band is two stacked areas, the lower one invisible."""
    series: list[dict[str, Any]] = []
    for run, colour in runs:
        points = [p for p in run.curve if "low" in p]
        plain = {"type": "line", "symbol": "none", "silent": True, "tooltip": {"show": False}, "stack": run.name}
        invisible = {**plain, "lineStyle": {"opacity": 0}}
        series += [
            {**invisible, "data": [[p["round"], p["low"]] for p in points]},
            {
                **invisible,
                "data": [[p["round"], p["high"] - p["low"]] for p in points],
                "areaStyle": {"color": colour, "opacity": 0.12},
            },
            {
                "type": "line",
                "name": run.name,
                "data": [[p["round"], p["stability"]] for p in run.curve],
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour, "width": 2},
            },
        ]
    axis = {
        "axisLabel": {"color": MUTED},
        "nameTextStyle": {"color": MUTED},
        "axisLine": {"lineStyle": {"color": MUTED}},
    }
    return {
        "animation": False,
        "textStyle": {"color": MUTED, "fontFamily": "system-ui, sans-serif"},
        "grid": {"left": 44, "right": 16, "top": 16, "bottom": 40},
        "tooltip": {"trigger": "item"},
        "xAxis": {**axis, "type": "value", "name": "round", "nameLocation": "middle", "nameGap": 26,
                  "minInterval": 1, "splitLine": {"show": False}},
        "yAxis": {**axis, "type": "value", "min": 0, "max": 1,
                  "splitLine": {"lineStyle": {"color": MUTED, "opacity": 0.25}}},
        "series": series,
    }  # fmt: skip
