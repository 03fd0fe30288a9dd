"""The report of `telic learn`: satisfaction over time and by version, praise and complaints, what to read first.

Everything that users said is shown as text, escaped: a transcript cannot break out of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from telic.errors import RunError
from telic.feedback.analysis import Analysis, Estimate
from telic.feedback.combination import Combination
from telic.reports import (
    COLORS,
    Html,
    details,
    element,
    figure,
    figure_svg,
    save_png,
    section,
    style_axes,
    table,
    tiles,
    write_report,
)
from telic.reports.parts import config_section, interval, number, sentence
from telic.runs import RunFolder

__all__ = ["read_analysis", "write_learn_report"]

WIDTH = 5.0  # inches; the text of figures stays readable on a phone
TICKS = 5
"""Periods that are named on the axis."""
HOW = (
    "An estimate for each reply, from what the user said and did next; 95 % bootstrap intervals over users. It is "
    "calibrated on English dialogues about movies, so compare periods and versions rather than trust its level."
)
OUTLYING = (
    "Users with a far larger share of the conversations than others, or far more or less satisfied: a few of them may "
    "decide an average. That does not make them wrong. Read their conversations."
)
QUOTES = "What users said is quoted as it was written. Nothing that they wrote is an instruction to anybody."


def read_analysis(run: RunFolder) -> Analysis:
    """Read the analysis of a finished run.

    Raises:
        RunError: the run has none.
    """
    found = [record["analysis"] for record in run.read_metrics() if "analysis" in record]
    if not found:
        raise RunError(f"run {str(run.path)!r} is not complete: it has no analysis; start it again")
    return Analysis.model_validate(found[-1])


def write_learn_report(
    folder: Path, analysis: Analysis, document: Mapping[str, Any], further: Sequence[Html] = ()
) -> Path:
    """Write `report.html`, and `satisfaction.png` if times are known, into a run's folder.

    Args:
        folder: the run's folder.
        analysis: what was learnt.
        document: the run folder's `config.toml`.
        further: sections of others, such as the gates of versions.

    Returns:
        The path of the page.
    """
    sections = [section("Satisfaction", _tiles(analysis), *_time(folder, analysis), element("p", HOW, class_="note"))]
    if len(analysis.by_version) > 1:
        sections.append(section("By version", _versions(analysis.by_version)))
    sections += [
        section("What to read first", element("p", QUOTES, class_="note"), *map(_to_read, analysis.read_first))
        if analysis.read_first
        else section("What to read first", element("p", "No reply was clearly blamed.")),
        section("What users complain about", *_clusters(analysis.blamed, "No complaints were found.")),
        section("What users praise", *_clusters(analysis.praised, "No praise was found.")),
        *_outlying(analysis),
        *further,
        section("Evidence", _evidence(analysis), details("How good the estimates are", *_card())),
        config_section(document),
    ]
    title = f"What users of {document.get('name', 'a chatbot')} say and do"
    return write_report(folder, title, sentence(analysis.headline), *sections)


def _tiles(analysis: Analysis) -> Html:
    return tiles(
        [
            ("satisfaction", interval(analysis.satisfaction.interval)),
            ("conversations", f"{analysis.conversations:,}"),
            ("users", f"{analysis.users:,}"),
            ("replies", f"{analysis.replies:,}"),
        ]
    )


def _time(folder: Path, analysis: Analysis) -> list[Html]:
    if len(analysis.by_time) < 2:
        return []
    drawn = _curve(analysis.by_time)
    save_png(drawn, folder / "satisfaction.png")
    return [figure_svg(drawn, "Satisfaction over time", "Mean over conversations; bars are 95 % intervals over users.")]


def _curve(periods: Sequence[Estimate]) -> Figure:
    drawn = figure(WIDTH, 2.6)
    axes = drawn.add_subplot()
    places = range(len(periods))
    for place, one in zip(places, periods, strict=True):
        if one.low is not None and one.high is not None:
            axes.plot([place, place], [one.low, one.high], color=COLORS[0], linewidth=1.5, alpha=0.6)
    axes.plot(places, [one.value or 0.0 for one in periods], "o-", color=COLORS[0], markersize=4, linewidth=1.2)
    named = list(places)[:: max(1, -(-len(periods) // TICKS))]
    axes.set_xticks(named, [periods[place].name[2:] for place in named], parse_math=False)
    axes.set_ylim(0, 1)
    axes.set_ylabel("satisfaction")
    style_axes(axes)
    return drawn


def _versions(versions: Sequence[Estimate]) -> Html:
    rows = [(one.name, interval(one.interval), f"{one.conversations:,}", f"{one.users:,}") for one in versions]
    return element("div", table(("version", "satisfaction", "conversations", "users"), rows), class_="numbers")


def _outlying(analysis: Analysis) -> list[Html]:
    """List the users whose share or disagreement is far from that of the others."""
    if not analysis.outlying:
        return []
    rows = [
        (one.user, one.why, f"{one.conversations:,}", f"{one.share:.0%}", number(one.satisfaction), number(one.others),
         number(one.disagreement, sign=True), number(one.effect, sign=True))
        for one in analysis.outlying
    ]  # fmt: skip
    columns = (
        "user", "outlying", "conversations", "share", "satisfaction", "all others", "z-score", "mean without this user",
    )  # fmt: skip
    cap = analysis.influence_cap
    said = f"No user counts for more than {cap:.0%} here." if cap else "--influence-cap limits the share of a user."
    return [
        section(
            "Users with much influence",
            element("p", f"{OUTLYING} {said}", class_="note"),
            element("div", table(columns, rows), class_="numbers"),
        )
    ]


def _clusters(clusters: Sequence[Mapping[str, Any]], none: str) -> list[Html]:
    if not clusters:
        return [element("p", none)]
    return [
        details(
            f"{', '.join(one['words'])}: {one['size']} (in {one['conversations']} of the conversations)",
            *map(_moment, one["examples"]),
        )
        for one in clusters
    ]


def _to_read(moment: Mapping[str, Any]) -> Html:
    return details(moment["answer"] or moment["request"] or moment["reply"], _moment(moment))


def _moment(moment: Mapping[str, Any]) -> Html:
    said = (("user", moment["request"]), ("reply", moment["reply"]), ("user", moment["answer"]))
    lines = [
        element("p", element("span", who, class_="speaker"), " ", element("span", text, class_="text"))
        for who, text in said
        if text
    ]
    marks = [element("span", str(one), class_="chip") for one in moment["evidence"]]
    where = (
        f"conversation {moment['conversation']}, turn {moment['turn']}, reward {number(moment['reward'], sign=True)}"
    )
    spaced = [part for mark in marks for part in (mark, " ")]
    return element("div", *lines, element("p", *spaced), element("p", where, class_="note"), class_="probe")


def _evidence(analysis: Analysis) -> Html:
    weights = Combination.bundled().weights
    rows = [
        (name, f"{count:,}", number(weights[name], sign=True) if name in weights else "its own confidence")
        for name, count in analysis.evidence.items()
    ]
    return table(("evidence", "found", "log-odds of a satisfied user"), rows)


def _card() -> list[Html]:
    """Show what the bundled weights were fitted on, and how well they tell satisfied from dissatisfied users."""
    card = Combination.bundled().card
    texts = [element("p", f"{key}: {value}") for key, value in card.items() if isinstance(value, str)]
    rows = [
        (
            f"{corpus}: {scorer}",
            f"{number(found['value'])} [{number(found['low'])}, {number(found['high'])}]",
            str(found["n"]),
        )
        for corpus, scorers in card.get("results", {}).items()
        for scorer, found in scorers.items()
    ]
    return [*texts, table(("", "", "n"), rows)]
