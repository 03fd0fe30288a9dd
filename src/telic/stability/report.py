"""The report of a stability run: one page that reads on its own, and its figures as PNG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from telic.episodes import Branch, Episode
from telic.reports import Html, details, element, figure_svg, save_png, section, table, tiles, write_report
from telic.reports.parts import config_section, interval, number, p_value, sentence
from telic.reports.steps import tool_steps
from telic.stability.analysis import Stability
from telic.stability.curves import CurvePoint
from telic.stability.figures import attention_figure, curve_figure, families_figure, heat_figure
from telic.stability.followed import ProbeStart
from telic.stability.headline import drift_sentence
from telic.stability.scores import score_by_round
from telic.stability.utterances import UtteranceStability, analyse_utterances
from telic.statistics import Interval

__all__ = ["curve_table", "missing_section", "starts_table", "transcripts_section", "write_stability_report"]

HARDLY_FOLLOWED = 0.5
"""Stability at round 0 below which the curve has little room to fall."""


def write_stability_report(
    folder: Path, stability: Stability, episodes: Iterable[Episode], config: Mapping[str, Any]
) -> Path:
    """Write `report.html`, `curve.png`, and `families.png` and `attention.png` where there is such data.

    Args:
        folder: the run's folder; it must exist.
        stability: what `analyse_stability` returned.
        episodes: those that were analysed; a few are shown.
        config: the resolved configuration of the run, as plain data. `name` titles the page; `versions` are the
            versions that the run recorded, by default the installed ones.

    Returns:
        The path of the page.
    """
    shown = list(episodes)
    sections = [
        _overview(stability),
        _curve_section(stability),
        _utterances_section(analyse_utterances(shown, resamples=stability.resamples, seed=stability.seed)),
        _demands_section(stability),
        _families_section(stability),
        _followed_section(stability),
        _attention_section(stability),
        transcripts_section(shown),
        missing_section(stability),
        config_section(config, {"resamples": stability.resamples, "seed": stability.seed}),
    ]
    save_png(curve_figure(stability.curve, "Instruction stability"), folder / "curve.png")
    if stability.families:
        save_png(families_figure(stability.families), folder / "families.png")
    if stability.attention:
        save_png(attention_figure(stability.attention), folder / "attention.png")
    title = f"Instruction stability: {config['name']}" if "name" in config else "Instruction stability"
    return write_report(folder, title, sentence(stability.headline), *sections)


def _overview(stability: Stability) -> Html:
    first = stability.curve[0] if stability.curve else None
    last = stability.curve[-1] if stability.curve else None
    items = [(f"stability at round {point.round}", _point(point)) for point in (first, last) if point is not None]
    items.append(("area under the curve", interval(stability.area)))
    played, probed = stability.counts.episodes, stability.counts.probed
    items.append(("dialogues", str(played)) if probed == played else ("dialogues with scores", f"{probed} of {played}"))
    notes = [element("p", note, class_="note") for note in _caveats(stability)]
    return element("div", tiles(items), *notes)


def _caveats(stability: Stability) -> list[str]:
    """List the caveats to the headline."""
    notes = []
    start = stability.curve[0] if stability.curve else None
    if start is not None and start.stability is not None and start.stability < HARDLY_FOLLOWED:
        notes.append(
            f"The instructions are hardly followed at the start ({start.stability:.2f}). An instruction that is not "
            "followed cannot drift: read the curve of the probes followed at round 0."
        )
    sizes = [point.n for point in stability.curve]
    if sizes and min(sizes) < max(sizes):
        notes.append(
            f"Not every round rests on the same dialogues (n = {min(sizes)} to {max(sizes)}). The points of the "
            "curve compare different dialogues; the drops compare each dialogue with itself."
        )
    return notes


def _curve_section(stability: Stability) -> Html:
    if not stability.curve:
        return section("Stability over rounds", element("p", "No dialogue was probed."))
    one = max(point.n for point in stability.curve) < 2
    svg = figure_svg(
        curve_figure(stability.curve),
        "Stability against rounds played" + ("" if one else ", with a 95 % band"),
        "One dialogue, so there is no interval." if one else "Mean over dialogues with its 95 % bootstrap interval.",
    )
    return section(
        "Stability over rounds",
        element("div", svg, curve_table(stability.curve), class_="columns"),
        element("h3", "Drop since the first round"),
        _drop_table(stability),
        element(
            "p",
            "Each dialogue compared with itself, on the same probes. p: sign-flip permutation test over dialogues, "
            "with Holm's correction over rounds. A round has drifted where the adjusted p is below 0.05 and the "
            "interval lies below zero.",
            class_="note",
        ),
    )


def curve_table(curve: Sequence[CurvePoint]) -> Html:
    """Return the points of a curve."""
    header = ("round", "stability", "95 % interval", "n", "answers", "missing", "tokens")
    rows = [
        (
            str(point.round),
            number(point.stability),
            _range(point.low, point.high),
            str(point.n),
            str(point.answers),
            str(point.missing),
            "–" if point.tokens is None else f"{point.tokens:.0f}",
        )
        for point in curve
    ]
    return element("div", table(header, rows), class_="numbers")


def _drop_table(stability: Stability) -> Html:
    header = ("round", "difference", "95 % interval", "n", "p", "p adjusted", "")
    rows = [
        (
            str(drop.round),
            number(drop.difference, sign=True),
            _range(drop.low, drop.high, sign=True),
            str(drop.n),
            p_value(drop.p),
            p_value(drop.p_adjusted),
            "drifted" if drop.significant else "",
        )
        for drop in stability.drops
    ]
    return element("div", table(header, rows), class_="numbers")


def _utterances_section(found: UtteranceStability | None) -> Html:
    if found is None:
        return Html("")
    svg = figure_svg(
        curve_figure(found.curve), "Share of utterances that follow the instructions for every reply, with a 95 % band"
    )
    text = (
        "Probes test an instruction by asking; utterances show whether the model follows it unprompted. If an "
        f"instruction binds every reply, the utterances of the dialogue are judged as well: {found}"
        + ("." if found.p is None else f"; p = {p_value(found.p)}.")
    )
    return section(
        "In the dialogue itself",
        element("p", text),
        element("div", svg, curve_table(found.curve), class_="columns"),
        element("p", "Rounds count the speaker's own utterances.", class_="note"),
    )


def _demands_section(stability: Stability) -> Html:
    rows = [
        [demand, *(_point(point) for point in (curve[0], curve[-1])), str(curve[-1].n)]
        for demand, curve in stability.demands.items()
        if curve
    ]
    if not rows:
        return Html("")
    ends = (f"stability at round {point.round}" for point in (stability.curve[0], stability.curve[-1]))
    listed = table(["demand", *ends, "dialogues"], rows)
    return section("By what the instruction demands of a reply", element("div", listed, class_="numbers"))


def _families_section(stability: Stability) -> Html:
    figures = [
        figure_svg(families_figure({family: curve}), f"Stability against rounds: {family}", _ends(curve))
        for family, curve in stability.families.items()
    ]
    if not figures:
        return Html("")
    return section("By kind of instruction", element("div", *figures, class_="multiples"))


def _followed_section(stability: Stability) -> Html:
    title = "Probes followed at round 0"
    followed, starts = stability.followed, starts_table(stability.starts)
    if followed is None:
        return section(title, element("p", sentence(stability.reasons["followed"])), starts)
    text = (
        f"{followed.chosen} of {followed.candidates} probes were followed before the dialogue. "
        f"{sentence(drift_sentence(followed.drops, followed.drift_round))} They were chosen by answers other than "
        f"those plotted, because choosing by the plotted answers would look like drift ({followed.method})."
    )
    svg = figure_svg(curve_figure(followed.curve), "Stability of the probes followed at round 0")
    curve = element("div", svg, curve_table(followed.curve), class_="columns")
    return section(title, element("p", text), curve, starts)


def starts_table(starts: Sequence[ProbeStart]) -> Html:
    """List how often each probe was followed before the dialogue, the never followed ones first."""
    rows = [
        (start.probe, start.side, f"{start.followed} of {start.answers}", "never followed" if start.never else "")
        for start in sorted(starts, key=lambda start: not start.never)
    ]
    if not rows:
        return Html("")
    listed = element("div", table(("probe", "side", "answers at round 0 that follow it", ""), rows), class_="numbers")
    return details("Each probe at round 0", listed)


def _attention_section(stability: Stability) -> Html:
    title = "Attention to the system prompt"
    if not stability.attention:
        return section(title, element("p", sentence(stability.reasons["attention"])))
    maps = [
        element(
            "div",
            element("h3", f"{decay.title}: by round and layer"),
            figure_svg(heat_figure(decay), f"Attention by round and layer, {decay.title}"),
        )
        for decay in stability.attention
    ]
    return section(
        title,
        element(
            "div",
            figure_svg(attention_figure(stability.attention, ["mass"]), "Attention to the system prompt by round"),
            figure_svg(attention_figure(stability.attention, ["relative"]), "Attention relative to the first round"),
            class_="columns",
        ),
        element(
            "p",
            "Mass on the system prompt's content: mean over layers, heads and generated tokens, then over dialogues, "
            "with 95 % bootstrap intervals.",
            class_="note",
        ),
        _correlation(stability),
        element("div", *maps, class_="columns"),
    )


def _correlation(stability: Stability) -> Html:
    found = stability.correlation
    if found is None or "correlation" in stability.reasons:
        return element("p", "Correlation with stability: " + stability.reasons["correlation"] + ".")
    what = {
        "over dialogues: change of attention with change of stability": found.between,
        "over rounds within a dialogue": found.within,
    }
    rows = [(text, interval(estimate), str(estimate.n)) for text, estimate in what.items()]
    place = "on probes" if found.where == "probes" else "in the dialogue"
    return element(
        "div",
        table(("", "r, 95 % interval", "dialogues"), rows, f"Correlation of attention (read {place}) with stability"),
        element("p", "Over rounds, anything else that changes as a dialogue goes on contributes too.", class_="note"),
    )


def transcripts_section(episodes: Sequence[Episode]) -> Html:
    """Return the dialogue that fell most, the one that held best, and one in the middle."""
    changes: list[tuple[float, Episode]] = []
    for episode in episodes:
        scores = list(score_by_round(episode).values())
        if len(scores) > 1:
            changes.append((scores[-1] - scores[0], episode))
    if not changes:
        return section("Sample dialogues", element("p", "No dialogue has scores at two rounds."))
    changes.sort(key=lambda item: (item[0], item[1].id))
    picks = {"fell most": 0, "in the middle": len(changes) // 2, "held best": len(changes) - 1}
    shown: list[tuple[str, Episode]] = []
    for what, i in picks.items():
        change, episode = changes[i]
        if all(episode is not other for _, other in shown):
            summary = f"{what}: {episode.id} ({number(change, sign=True)} from first to last round)"
            shown.append((summary, episode))
    return section("Sample dialogues", *(details(text, _transcript(episode)) for text, episode in shown))


def _transcript(episode: Episode) -> Html:
    """Show the dialogue at the left, and the probes of each round at the right."""
    systems = [
        element("p", element("span", f"{role} ", class_="speaker"), str(who.get("system", "")), class_="text")
        for role, who in episode.roles.items()
    ]
    parts = [element("h3", "System prompts"), *systems]
    for round_ in sorted({turn.round for turn in episode.turns} | {b.round for b in episode.branches}):
        said = [
            part
            for turn in episode.turns
            if turn.round == round_
            for part in (
                tool_steps(turn.steps),
                element("p", element("span", f"{turn.role} ", class_="speaker"), turn.text, class_="text"),
            )
        ]
        asked = [_probe(branch) for branch in episode.branches if branch.round == round_]
        parts.append(element("h3", f"Round {round_}" if round_ else "Before the dialogue"))
        parts.append(element("div", element("div", *said), element("div", *asked), class_="columns"))
    if episode.failure:
        parts.append(element("p", f"Ended with a failure: {episode.failure}", class_="text"))
    return element("div", *parts)


def _probe(branch: Branch) -> Html:
    answers = [
        element(
            "p",
            element("span", number(answer.score), class_="chip"),
            " ",
            answer.text or "(no text)",
            *([element("span", f" ({answer.reason})", class_="note")] if answer.reason else []),
            class_="text",
        )
        for answer in branch.answers
    ]
    asked = element("p", element("span", f"{branch.role} is asked ", class_="speaker"), branch.question, class_="text")
    return element("div", asked, *answers, class_="probe")


def missing_section(stability: Stability, title: str = "Missing data") -> Html:
    """Return the section on failures and missing scores."""
    counts = stability.counts
    rows = [("episodes that failed: " + reason, str(count)) for reason, count in counts.errors.items()]
    rows += [("answers without a score: " + reason, str(count)) for reason, count in counts.missing.items()]
    if counts.overflows:
        rows.append(("episodes in which the context was full", str(counts.overflows)))
    if counts.incomplete:
        rows.append(("probes without a score at some round", str(counts.incomplete)))
    left_out = sum(decay.missing for decay in stability.attention)
    if left_out:
        rows.append(("attention readings that could not be used", str(left_out)))
    reasons = [element("p", f"{part}: {why}.", class_="note") for part, why in sorted(stability.reasons.items())]
    if not rows:
        return section(title, element("p", "Every probe was asked, answered and scored."), *reasons)
    return section(title, table(("what", "count"), rows), *reasons)


def _ends(curve: Sequence[CurvePoint]) -> str:
    sizes = sorted({point.n for point in curve})
    n = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
    ends = ", ".join(f"{number(point.stability)} at round {point.round}" for point in (curve[0], curve[-1]))
    return f"{ends}; n = {n}"


def _range(low: float | None, high: float | None, *, sign: bool = False) -> str:
    return "–" if low is None or high is None else f"{number(low, sign=sign)} to {number(high, sign=sign)}"


def _point(point: CurvePoint) -> str:
    return interval(Interval(point.stability, point.low, point.high, point.n))
