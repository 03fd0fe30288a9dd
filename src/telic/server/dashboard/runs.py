"""The page with the runs: what was measured, with the stability curves, and their reports."""

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
from telic.server.dashboard.frame import frame, service_of
from telic.server.dashboard.mounting import PATH
from telic.server.problems import ApiError
from telic.server.replies import problem

__all__ = ["Listed", "find_report", "list_runs", "register"]

REPORT = "report.html"
# A report loads nothing and runs nothing; should one be made by somebody else, it cannot either, nor post anything.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; sandbox"
SECONDS = 30
"""Time for the folders to be read."""
MOST = 100
"""Runs listed, the latest first."""
CURVES = 6
"""Curves drawn at once; more are not told apart."""
COLOURS = ("#3b6fd9", "#d9772b", "#2f9e6e", "#b04fb8", "#c2403c", "#7d8a2e")
MUTED = "#808692"
"""Of what is written in a chart: it can be read on light and dark."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A run, as far as it can be read."""

    name: str
    verb: str
    purpose: str
    started: str
    episodes: int | None
    """Those played so far; None where the run cannot be read."""
    curve: Sequence[dict[str, Any]]
    """Points of the stability curve: round, stability, low, high, n; none but of a measurement that is done."""
    report: bool


def list_runs(root: str | Path) -> list[Listed]:
    """The runs in a folder, the latest first. One that is damaged does not hide the others."""
    return [_read(run) for run in reversed(RunFolder.list(root)[-MOST:])]


def _read(run: RunFolder) -> Listed:
    document: dict[str, Any] = {}
    episodes: int | None = None
    curve: Sequence[dict[str, Any]] = ()
    with suppress(TelicError, ValueError, OSError, KeyError, TypeError):
        document = run.document
        episodes = _lines(run.episodes.path)
        found = [record["stability"] for record in run.read_metrics() if "stability" in record]
        curve = _points(found[-1]["curve"]) if found else ()
    return Listed(
        run.path.name, str(document.get("verb", "?")), str(document.get("name", "?")),
        str(document.get("started", "?"))[:16].replace("T", " "), episodes, curve, _report_of(run) is not None,
    )  # fmt: skip


def _points(curve: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is drawn of a curve, all of it numbers; without the rounds that have no score."""
    return [
        {"round": int(point["round"]), "stability": float(point["stability"]), "n": int(point["n"]), **_interval(point)}
        for point in curve
        if point["stability"] is not None
    ]


def _interval(point: dict[str, Any]) -> dict[str, float]:
    low, high = point.get("low"), point.get("high")
    return {} if low is None or high is None else {"low": float(low), "high": float(high)}


def find_report(root: str | Path, name: str) -> Path | None:
    """The report of a run in a folder; None if there is none."""
    return next((_report_of(run) for run in RunFolder.list(root) if run.path.name == name), None)


def _report_of(run: RunFolder) -> Path | None:
    report = run.path / REPORT
    return report if report.is_file() and not report.is_symlink() else None  # a link may lead to any file


def _lines(path: Path) -> int:
    """Episodes are counted, not read: there may be thousands in every run."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))


def register() -> None:
    """Tell NiceGUI of the page, and of the reports."""

    @ui.page("/runs", response_timeout=SECONDS)
    async def runs(request: Request) -> None:
        service = service_of(request)
        found = await asyncio.to_thread(list_runs, service.config.runs)
        with frame(request, "runs"), box("div", "runs-page"):
            _draw(found, service.config.runs)

    @pages.get("/runs/{name}/report")
    def report(request: Request, name: str) -> Response:
        found = find_report(service_of(request).config.runs, name)
        if found is None:
            return problem(ApiError(404, f"there is no report of a run {name!r}"))
        return FileResponse(found, headers={"Content-Security-Policy": POLICY})


def _draw(found: Sequence[Listed], root: str) -> None:
    text("Runs", "h2")
    if not found:
        text(f"No runs in {root}. Make one with: telic measure", "p", "hint")
        return
    measured = [run for run in found if run.curve]
    drawn = dict(zip([run.name for run in measured[:CURVES]], COLOURS, strict=False))
    if drawn:
        with box("figure", "curves", role="img", aria_label="Stability over rounds; the table below has the numbers"):
            ui.echart(_chart([(run, drawn[run.name]) for run in measured[:CURVES]])).classes("curves-chart")
            more = f" The latest {CURVES} of {len(measured)}." if len(measured) > CURVES else ""
            text(f"Instruction stability over rounds, with 95 % intervals.{more}", "figcaption", "hint")
    with box("div", "scroll", tabindex="0", role="region", aria_label="List of runs"), box("table"):
        with box("thead"), box("tr"):
            for heading in ("Run", "Started", "Episodes", "Stability, first to last round", "Report"):
                text(heading, "th", scope="col")
        with box("tbody"):
            for run in found:
                _row(run, drawn.get(run.name))


def _row(run: Listed, colour: str | None) -> None:
    with box("tr"):
        with box("th", scope="row"):
            if colour is not None:
                box("span", "swatch", aria_hidden="true").style(f"background: {colour}")
            text(run.name)
        text(run.started, "td")
        text("damaged" if run.episodes is None else str(run.episodes), "td", "number")
        text(_in_words(run.curve), "td")
        with box("td"):
            if run.report:
                text("open", "a", href=f"{PATH}/runs/{quote(run.name)}/report", aria_label=f"Report of {run.name}")
            else:
                text("none", "span", "hint")


def _in_words(curve: Sequence[dict[str, Any]]) -> str:
    if not curve:
        return "–"
    first, last = curve[0], curve[-1]

    def told(point: dict[str, Any]) -> str:
        between = f" [{point['low']:.2f}, {point['high']:.2f}]" if "low" in point else ""
        return f"{point['stability']:.2f}{between}"

    return f"{told(first)} → {told(last)}, n = {last['n']}"


def _chart(runs: Sequence[tuple[Listed, str]]) -> dict[str, Any]:
    """A line for each run, and its intervals as a band: two stacked areas, of which the lower one is not seen."""
    series: list[dict[str, Any]] = []
    for run, colour in runs:
        points = [p for p in run.curve if "low" in p]
        plain = {"type": "line", "symbol": "none", "silent": True, "tooltip": {"show": False}, "stack": run.name}
        unseen = {**plain, "lineStyle": {"opacity": 0}}
        series += [
            {**unseen, "data": [[p["round"], p["low"]] for p in points]},
            {
                **unseen,
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
