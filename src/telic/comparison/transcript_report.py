"""The report of a measurement on recorded dialogues: curves by tokens and by round, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from telic.comparison.results import ArmDifference
from telic.comparison.transcript_results import TranscriptArm, TranscriptRun
from telic.episodes import BASELINE
from telic.reports import Html, element, figure_svg, save_png, section, table, write_report
from telic.reports.parts import config_section, interval, p_value, sentence
from telic.stability.analysis import Stability
from telic.stability.curves import CurvePoint
from telic.stability.figures import curves_figure
from telic.stability.report import curve_table, missing_section, starts_table, transcripts_section
from telic.statistics import Interval

__all__ = ["write_transcript_report"]

MOST = 6
"""Curves that a figure holds, besides the baseline."""
BY_TOKENS = "Tokens of the dialogue, without the system prompt. Each probe counts at the nearest mark; 0 is before it."
PAIRED = (
    "Each dialogue compared with itself: the same probes at the same places, with the control and without one. p: "
    "sign-flip permutation test over dialogues, with Holm's correction over all lengths and controls; of the means, "
    "over the controls."
)


def write_transcript_report(folder: Path, run: TranscriptRun) -> Path:
    """Write `report.html` and `curve.png`.

    Returns:
        The path of the page.
    """
    drawn = curves_figure(_curves(run, lambda arm: arm.by_tokens), baseline=BASELINE, tokens=True)
    save_png(drawn, folder / "curve.png")
    alt = "Stability against tokens of the dialogue, by control"
    by_round = curves_figure(_curves(run, lambda arm: arm.by_round), baseline=BASELINE)
    first = run.arms[0]
    sections = [
        section("What was read", element("p", sentence(run.reading)), _notes(run)),
        section("Stability by tokens", figure_svg(drawn, alt), element("p", BY_TOKENS, class_="note"), _table(run)),
        *_differences(run),
        section(
            "Stability by round",
            figure_svg(by_round, "Stability against rounds read, by control"),
            *(element("div", element("h3", arm.name), curve_table(arm.by_round.curve)) for arm in run.arms),
        ),
        section("Probes before the dialogue", starts_table(first.by_tokens.starts)),
        transcripts_section([episode for episode in run.episodes if f"/{first.name}/" in episode.id]),
        *(missing_section(arm.by_tokens, f"Missing data:  {arm.name}") for arm in run.arms),
        config_section(run.document, {"episodes": len(run.episodes)}),
    ]
    title = f"Recorded dialogues: {run.document.get('name', 'a purpose')}"
    return write_report(folder, title, sentence(run.headline), *sections)


def _curves(run: TranscriptRun, part: Callable[[TranscriptArm], Stability]) -> dict[str, Sequence[CurvePoint]]:
    return {arm.name: part(arm).curve for arm in run.arms[: MOST + 1]}


def _notes(run: TranscriptRun) -> Html:
    return element("ul", *(element("li", sentence(note)) for note in run.transcripts["notes"]), class_="note")


def _table(run: TranscriptRun) -> Html:
    """Return stability at each length, an arm a column."""
    lengths = sorted({point.round for arm in run.arms for point in arm.by_tokens.curve})
    points = [{point.round: point for point in arm.by_tokens.curve} for arm in run.arms]
    rows = [
        [
            str(length),
            *(_point(found.get(length)) for found in points),
            str(max(found[length].n for found in points if length in found)),
        ]
        for length in lengths
    ]
    return element("div", table(["tokens", *(arm.name for arm in run.arms), "n"], rows), class_="numbers")


def _point(point: CurvePoint | None) -> str:
    return "–" if point is None else interval(Interval(point.stability, point.low, point.high, point.n))


def _differences(run: TranscriptRun) -> list[Html]:
    if len(run.arms) < 2:
        return []
    lengths = sorted({length for arm in run.arms for length in arm.gains})
    rows = [["mean after the start", *(_difference(arm.gain) for arm in run.arms[1:])]]
    rows += [[str(length), *(_difference(arm.gains.get(length)) for arm in run.arms[1:])] for length in lengths]
    listed = table(["tokens", *(arm.name for arm in run.arms[1:])], rows)
    parts = (element("div", listed, class_="numbers"), element("p", PAIRED, class_="note"))
    return [section("Difference from the baseline", *parts)]


def _difference(found: ArmDifference | None) -> str:
    if found is None or found.value is None:
        return "–"
    return f"{interval(found.interval, sign=True)}, n = {found.n}, p = {p_value(found.p)}"
