"""The page of runs, with their findings, stability curves and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.responses import FileResponse
from nicegui import app as pages
from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from telic.reports.run_index import INDEX, run_status_note
from telic.run_summary import REPORT, RunSummary, summarise_runs
from telic.runs import RunFolder
from telic.server.dashboard.charts import COLOURS, MUTED, SYMBOLS, curve_with_band
from telic.server.dashboard.elements import box, set_visible, text
from telic.server.dashboard.frame import frame
from telic.server.dashboard.login import page_service
from telic.server.dashboard.paths import PATH
from telic.server.errors import ApiError
from telic.server.http_responses import error_response

__all__ = ["find_report", "register_runs_page"]

# Telic's reports load and run nothing. With this policy, no other file in their place can, nor can it submit forms. It
# keeps its origin, since it runs nothing: otherwise a link back to the list would come without the login's cookie.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "sandbox allow-same-origin"
)
RESPONSE_TIMEOUT = 30
"""Longest time to read the run folders, in seconds."""
MAX_RUNS = 100
"""Runs in the list, latest first."""
MAX_CURVES = 6
"""Curves in the chart; more would be hard to tell apart."""


def find_report(root: str | Path, name: str) -> Path | None:
    """Return the report of a run; None if it has none."""
    for run in RunFolder.list(root):
        report = run.path / REPORT
        if run.path.name == name and report.is_file() and not report.is_symlink():  # a link may point to any file
            return report
    return None


def register_runs_page() -> None:
    """Register the page and the reports with NiceGUI."""

    @ui.page("/runs", response_timeout=RESPONSE_TIMEOUT)
    async def runs(request: Request) -> None:
        service = page_service(request)
        listed = await asyncio.to_thread(summarise_runs, service.config.runs, MAX_RUNS)
        with frame(request, "runs"), box("div", "runs-page"):
            _show_runs(listed, service.config.runs)

    @pages.get(f"/runs/{INDEX}")
    def index() -> Response:
        """Redirect from the address that reports link to."""
        return RedirectResponse(f"{PATH}/runs", 303)

    @pages.get("/runs/{name}/report")
    def report(request: Request, name: str) -> Response:
        path = find_report(page_service(request).config.runs, name)
        if path is None:
            return error_response(ApiError(404, f"there is no report of run {name!r}"))
        return FileResponse(path, headers={"Content-Security-Policy": POLICY})


def _show_runs(listed: Sequence[RunSummary], root: str) -> None:
    text("Runs", "h2")
    if not listed:
        text(f"No runs in {root}. Make one with: telic measure", "p", "hint")
        return
    measured = [run for run in listed if run.verb == "measure" and run.curves.get("stability")]
    marks = dict(zip([run.path for run in measured[:MAX_CURVES]], zip(COLOURS, SYMBOLS, strict=True), strict=False))
    if marks:
        with box("figure", "curves", role="img", aria_label="Stability over rounds; the list below has the numbers"):
            ui.echart(_chart([(run, *marks[run.path]) for run in measured[:MAX_CURVES]])).classes("curves-chart")
            more = f" The latest {MAX_CURVES} of {len(measured)} measurements." if len(measured) > MAX_CURVES else ""
            text(f"Instruction stability over rounds. Shaded: 95 % intervals.{more}", "figcaption", "hint")
    cards: list[tuple[RunSummary, Element]] = []

    def show_only(words: str) -> None:
        fits = [(card, run.matches(words)) for run, card in cards]
        for card, shown in fits:
            set_visible(card, shown)
        count = sum(shown for _, shown in fits)
        found.text = "" if count == len(fits) else f"{count} of {len(fits)}"

    with box("p", "find"):
        text("Find", "label", for_="find")
        field = box("input", id="find", type="search", placeholder="purpose, model, status, finding")
        field.on("input", lambda event: show_only(str(event.args)), js_handler="(event) => emit(event.target.value)")
        found = text("", "output", "hint")
    with box("ul", "run-list"):
        for run in listed:
            cards.append((run, _show_run(run, marks.get(run.path, ("", ""))[0])))


def _show_run(run: RunSummary, colour: str) -> Element:
    name = run.path.name
    with box("li") as card:
        with box("h3"):
            if colour:
                box("span", "swatch", aria_hidden="true").style(f"background: {colour}")
            if run.has_report:
                address = f"{PATH}/runs/{quote(name)}/report"
                text(run.name if run.name != "?" else name, "a", href=address, aria_label=f"Report of {name}")
            else:
                text(run.name if run.name != "?" else name)
            text(run.verb, "span", "tag act")
            text(run.status, "span", f"tag {run.status}")
        facts = [
            run.model,
            "" if run.episodes is None else f"{run.episodes} episodes",
            "" if run.started is None else f"{run.started:%Y-%m-%d %H:%M}",
            name,
        ]
        text(" · ".join(filter(None, facts)), "p", "hint")
        for line in (run.headline, *map(_describe_curve, run.curves.items())):
            if line:
                text(line, "p")
        if note := run_status_note(run):
            text(note, "p", "hint")
    return card


def _describe_curve(curve: tuple[str, Sequence[dict[str, float]]]) -> str:
    """Write the first and the last point of a curve."""
    name, points = curve
    if not points:
        return ""

    def describe(point: dict[str, float]) -> str:
        between = f" [{point['low']:.2f}, {point['high']:.2f}]" if "low" in point and "high" in point else ""
        return f"{point['stability']:.2f}{between}"

    first, last = points[0], points[-1]
    n = f", n = {last['n']:.0f}" if "n" in last else ""
    return f"{name[:1].upper()}{name[1:]}: {describe(first)} → {describe(last)} after {last['round']:.0f} rounds{n}"


def _chart(runs: Sequence[tuple[RunSummary, str, str]]) -> dict[str, Any]:
    """Make a chart with a line and a band for each run."""
    series: list[dict[str, Any]] = []
    names = []
    for run, colour, symbol in runs:
        started = "" if run.started is None else f" {run.started:%m-%d %H:%M}"
        name = f"{run.name}{started}"
        names.append(name if name not in names else run.path.name)
        points = [{**p, "x": p["round"], "value": p["stability"]} for p in run.curves["stability"]]
        series += curve_with_band(names[-1], points, colour, symbol, run.path.name)
    axis = {
        "axisLabel": {"color": MUTED},
        "nameTextStyle": {"color": MUTED},
        "axisLine": {"lineStyle": {"color": MUTED}},
    }
    return {
        "animation": False,
        "textStyle": {"color": MUTED, "fontFamily": "system-ui, sans-serif"},
        "grid": {"left": 44, "right": 16, "top": 56, "bottom": 40},
        "legend": {"data": names, "type": "scroll", "top": 0, "left": 0, "textStyle": {"color": MUTED}},
        "tooltip": {"trigger": "item"},
        "xAxis": {**axis, "type": "value", "name": "round", "nameLocation": "middle", "nameGap": 26,
                  "minInterval": 1, "splitLine": {"show": False}},
        "yAxis": {**axis, "type": "value", "min": 0, "max": 1, "name": "stability",
                  "splitLine": {"lineStyle": {"color": MUTED, "opacity": 0.25}}},
        "series": series,
    }  # fmt: skip
