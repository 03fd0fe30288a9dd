"""The report of a demo: two curves, their difference, and one dialogue side by side."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from telic.comparison.demo import DemoRun, last_branches
from telic.episodes import BASELINE, Episode
from telic.reports import Html, element, figure_svg, save_png, section, tiles, write_report
from telic.reports.parts import config_section, interval, p_value, sentence
from telic.stability.figures import curves_figure

__all__ = ["demo_figure", "write_demo_report"]


def write_demo_report(folder: Path, run: DemoRun) -> Path:
    """Write `report.html` and `curves.png`; returns the path of the page."""
    drawn = demo_figure(run)
    save_png(drawn, folder / "curves.png")
    sections = [
        tiles(
            [
                ("difference in the last round", interval(run.last_gain.interval, sign=True)),
                ("difference of the areas under the curves", interval(run.gain.interval, sign=True)),
                ("p (paired sign-flip test on the areas)", p_value(run.gain.p)),
                ("dialogues, each played twice", str(run.gain.n)),
            ]
        ),
        section(
            "The same dialogues, twice",
            figure_svg(
                drawn,
                "Share of the probes that the chatbot follows against rounds played, alone and with the control",
                "Mean over dialogues with its 95 % bootstrap interval. Both curves share openers and seeds.",
            ),
        ),
        _dialogue_section(run),
        config_section(run.document, {"episodes": len(run.episodes)}),
    ]
    return write_report(
        folder, "Demo: a chatbot that drifts, and the same chatbot held by a control", sentence(run.headline), *sections
    )


def demo_figure(run: DemoRun) -> Figure:
    """Draw the two curves with their 95 % bands; each has its name at its end."""
    return curves_figure(
        {BASELINE: run.baseline.curve, run.control: run.held.curve},
        title="A chatbot that drifts, and the same chatbot held by a control",
        subtitle="Share of its probes that it follows, with 95 % intervals",
        baseline=BASELINE,
    )


def _dialogue_section(run: DemoRun) -> Html:
    """Show the dialogue in which the arms differ most, side by side."""
    pair = run.excerpt()
    if pair is None:
        return Html("")
    titles = ("without a control", f"with {run.control}")
    columns = [
        element("div", element("h3", title), *_transcript(episode)) for title, episode in zip(titles, pair, strict=True)
    ]
    return section(
        "The dialogue with the largest difference",
        element("p", str(pair[0].roles["b"]["system"]), class_="note"),
        element("div", *columns, class_="columns"),
    )


def _transcript(episode: Episode) -> list[Html]:
    lines = [
        element("p", element("span", f"{'user' if turn.role == 'a' else 'chatbot'} ", class_="speaker"), turn.text)
        for turn in episode.turns
    ]
    last, branches = last_branches(episode)
    asked = [
        element("p", element("span", f"{branch.question} ", class_="speaker"), branch.answers[0].text)
        for branch in branches
    ]
    return [*lines, element("h3", f"Probes asked after round {last}"), *asked]
