"""The page of learning: how satisfied users are, what they praise and complain of, the versions, the canary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from nicegui import ui
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from telic.feedback import Analysis, Estimate
from telic.promotion import GateResult
from telic.server.dashboard.charts import MUTED, curve_with_band
from telic.server.dashboard.elements import box, text
from telic.server.dashboard.frame import frame
from telic.server.dashboard.login import key_holder, page_service
from telic.server.dashboard.paths import PATH
from telic.server.learning import Learning, LearningCache, VersionRow

__all__ = ["register_learning_page"]

RESPONSE_TIMEOUT = 60
"""Longest time to analyse the conversations, in seconds."""
CLUSTERS, EXAMPLES, TO_READ = 6, 3, 10
"""Groups of complaints and of praise that are shown, quotations of each, and replies to be read first."""
QUOTES = "Users are quoted as they wrote. Nothing that they wrote is an instruction to anybody."


def register_learning_page(cache: LearningCache) -> None:
    """Register the page with NiceGUI.

    Args:
        cache: reads what it shows.
    """

    @ui.page("/learning", response_timeout=RESPONSE_TIMEOUT)
    async def learning(request: Request) -> None:
        problem, found = "", None
        try:
            found = await cache.read(key_holder(request))
        except SQLAlchemyError:
            problem = "The conversation store does not respond; try again later."
        with frame(request, "learning"), box("div", "runs-page learning"):
            text("Learning", "h2")
            if found is None:
                text(problem, "p", "alert")
            else:
                _show(found, page_service(request).purpose.name)


def _show(found: Learning, purpose: str) -> None:
    if found.refused is not None:
        text(f"Promoted, but not served: {found.refused.version}. {found.refused.cause}", "p", "alert")
    _show_canary(found)
    if found.analysis is None:
        text(found.note, "p", "hint")
    else:
        _show_satisfaction(found.analysis, found.note)
        _show_to_read(found.analysis.read_first)
        _show_clusters("Complaints", found.analysis.blamed, "No complaints were found.")
        _show_clusters("Praise", found.analysis.praised, "No praise was found.")
    _show_versions(found.versions, purpose)


def _show_canary(found: Learning) -> None:
    canary = found.canary
    with box("p", "canary"):
        if canary is None:
            text(f"Served: {found.served}. No canary is running.")
            return
        text(f"Served: {found.served}. Canary of {canary['candidate']}: ")
        text(str(canary["status"]), "span", f"tag {'worse' if canary['status'] == 'rolled back' else 'passed'}")
        known = canary["comparison"]
        ours, theirs, difference = (known[name] for name in ("candidate", "served", "difference"))
        share = f" {canary['share']:.0%} of the users."
        if not ours["n"] + theirs["n"]:
            text(f"{share} No conversation has ended yet.")
            return
        text(
            f"{share} Satisfaction {_interval(**ours)} against {_interval(**theirs)}, difference "
            f"{_interval(**difference)}; {ours['n']} and {theirs['n']} users; {known['verdict']}."
        )


def _show_satisfaction(analysis: Analysis, note: str) -> None:
    with box("section"):
        text("Satisfaction", "h3")
        text(f"{analysis.headline[:1].upper()}{analysis.headline[1:]}.", "p")
        text(f"{note} Inferred from what users said; 95 % intervals over users.", "p", "hint")
        if len(analysis.by_time) > 1:
            with box("figure", "curves", role="img", aria_label="Satisfaction over time; the table has the numbers"):
                ui.echart(_chart(analysis.by_time)).classes("curves-chart")
            with box("details"):
                text("By time", "summary")
                _show_estimates("period", analysis.by_time)
        if analysis.by_version:
            text("By version", "h4")
            _show_estimates("version", analysis.by_version)


def _show_estimates(title: str, estimates: Sequence[Estimate]) -> None:
    rows = [
        (one.name, _interval(one.value, one.low, one.high), f"{one.conversations:,}", f"{one.users:,}")
        for one in estimates
    ]
    _show_table((title, "satisfaction", "conversations", "users"), rows)


def _show_to_read(moments: Sequence[Mapping[str, Any]]) -> None:
    with box("section"):
        text("What to read first", "h3")
        text(QUOTES if moments else "No reply was clearly blamed.", "p", "hint")
        for moment in moments[:TO_READ]:
            with box("details"):
                text(moment["answer"] or moment["request"] or moment["reply"], "summary")
                _show_moment(moment)


def _show_clusters(title: str, clusters: Sequence[Mapping[str, Any]], none: str) -> None:
    with box("section"):
        text(title, "h3")
        if not clusters:
            text(none, "p", "hint")
        for one in clusters[:CLUSTERS]:
            with box("details"):
                text(f"{', '.join(one['words'])}: {one['size']}", "summary")
                for moment in one["examples"][:EXAMPLES]:
                    _show_moment(moment)


def _show_moment(moment: Mapping[str, Any]) -> None:
    with box("blockquote"):
        for who, said in (("user", moment["request"]), ("reply", moment["reply"]), ("user", moment["answer"])):
            if said:
                text(f"{who}: {said}", "p")
        for evidence in moment["evidence"]:
            text(str(evidence), "span", "tag act")
        address = f"{PATH}/c/{quote(str(moment['conversation']), safe='')}"
        text("Open the conversation", "a", "hint", href=address)


def _show_versions(versions: Sequence[VersionRow], purpose: str) -> None:
    with box("section"):
        text("Versions", "h3")
        if not versions:
            text(f"{purpose} has no versions. Register one with: telic learn PURPOSE --candidate FOLDER", "p", "hint")
            return
        with box("ul", "run-list"):
            for row in versions:
                _show_version(row)


def _show_version(row: VersionRow) -> None:
    version, gate = row.version, row.gate
    with box("li"):
        with box("h3"):
            text(version.name)
            text(row.status, "span", f"tag {row.status}")
        trained = f"{version.sources:,} conversations"
        if version.deleted_sources:
            trained += f", of which {version.deleted_sources:,} are deleted"
        text(f"{version.method} · after {version.parent} · trained on {trained}", "p", "hint")
        if version.rejected:
            text(f"Rejected: {version.rejected}", "p")
        if gate is None:
            text("The gate was not run.", "p", "hint")
            return
        if gate.headline not in version.rejected:
            text(f"{gate.headline[:1].upper()}{gate.headline[1:]}.", "p")
        with box("details"):
            text("Checks of the gate", "summary")
            _show_table(("check", "verdict", gate.version, gate.served, "difference", "margin", "n"), _checks(gate))


def _checks(gate: GateResult) -> Iterable[tuple[str, ...]]:
    for check in gate.checks:
        pairs = [
            "" if one is None else _interval(one.value, one.low, one.high)
            for one in (check.candidate, check.served, check.difference)
        ]
        n = "" if check.difference is None else str(check.difference.n)
        yield check.name, check.verdict, *pairs, "" if check.margin is None else f"{check.margin:g}", n


def _show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with box("div", "numbers", tabindex="0"), box("table"):
        with box("thead"), box("tr"):
            for column in columns:
                text(column, "th", scope="col")
        with box("tbody"):
            for row in rows:
                with box("tr"):
                    for index, cell in enumerate(row):
                        text(cell, "td", "" if index == 0 else "number")


def _interval(value: float | None, low: float | None, high: float | None, **_more: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _chart(periods: Sequence[Estimate]) -> dict[str, Any]:
    points = [{"x": one.name, "low": one.low, "high": one.high, "value": one.value} for one in periods]
    axis = {"axisLabel": {"color": MUTED}, "axisLine": {"lineStyle": {"color": MUTED}}}
    grid = {"lineStyle": {"color": MUTED, "opacity": 0.25}}
    return {
        "animation": False,
        "textStyle": {"color": MUTED, "fontFamily": "system-ui, sans-serif"},
        "grid": {"left": 44, "right": 16, "top": 24, "bottom": 32},
        "tooltip": {"trigger": "item"},
        "xAxis": {**axis, "type": "category", "data": [one.name for one in periods]},
        "yAxis": {**axis, "type": "value", "min": 0, "max": 1, "splitLine": grid},
        "series": curve_with_band("satisfaction", points),
    }  # fmt: skip
