"""The report of a training: how the planner was judged, what each stage added, what it does in which round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from telic.episodes import Episode
from telic.errors import RunError
from telic.planner.evaluation import Judged
from telic.reports import (
    COLORS,
    Html,
    details,
    element,
    figure,
    figure_svg,
    page,
    save_png,
    section,
    style_axes,
    table,
    tiles,
)
from telic.reports.parts import config_section, interval, intervals_figure, number, p_value
from telic.runs import RunFolder

__all__ = ["write_train_report"]

SHOWN = 6
"""Scenarios of which the dialogues are shown, without the planner and with it."""
WIDTH = 5.4  # inches: its text stays readable on a phone
LANGUAGE = (
    "Perplexity is that of what was said, under the unsteered model and in its own dialogue; distinct pairs are the "
    "share of different word pairs in an episode; length is in tokens. Where the actions of neighbouring rounds have a "
    "cosine near 1, the planner is hardly more than a constant prefix."
)
STAGES = "Mean return on the validation episodes, on which the stage was chosen: the best looks a little too good here."


def write_train_report(run: RunFolder) -> Path:
    """Write `report.html`, `returns.png` and, if TD3+BC ran, `td3bc.png` into a run's folder.

    Returns:
        The path of the page.

    Raises:
        RunError: the run has not been judged yet.
    """
    records = list(run.read_metrics())
    verdict = next((record for record in reversed(records) if "judged" in record), None)
    if verdict is None:
        raise RunError(f"{run.path} was not brought to its end: nothing is judged; go on with --resume")
    judged = [Judged.model_validate(arm) for arm in verdict["judged"]]
    rows = [(arm.name, arm.returns) for arm in reversed(judged)]
    returns = intervals_figure(rows, [name for name, _ in rows].index("planner"), "mean return of an episode", WIDTH)
    curves = _td3bc([record["td3bc"] for record in records if "td3bc" in record])
    save_png(returns, run.path / "returns.png")
    sections = [
        section(
            "Held-out scenarios",
            element(
                "p", "No scenario was trained or chosen on. Gains are over the unsteered model, paired by scenario."
            ),
            _overview(judged),
            figure_svg(returns, "Mean return of an episode, with 95 % intervals"),
            _arms(judged),
        ),
        section("Language", element("p", LANGUAGE), _language(judged)),
        section("What each stage adds", element("p", STAGES), _stages(records, verdict)),
    ]
    planner = next(arm for arm in judged if arm.name == "planner")
    if planner.behaviour.acts:
        sections.append(section("What the planner does", _acts(planner)))
    if curves is not None:
        save_png(curves, run.path / "td3bc.png")
        sections.append(section("TD3+BC", figure_svg(curves, "Losses and values over the updates")))
    sections.append(section("Dialogues", *_dialogues(run.path)))
    sections.append(config_section(run.document))
    path = run.path / "report.html"
    title = f"A planner for {run.document.get('name', 'a purpose')}"
    path.write_text(page(title, verdict["headline"], *sections), encoding="utf-8")
    return path


def _overview(judged: Sequence[Judged]) -> Html:
    arms = {arm.name: arm for arm in judged}
    base, own = arms["unsteered"], arms["planner"]
    assert own.gain is not None
    return tiles(
        [
            ("unsteered", interval(base.returns)),
            ("planner", interval(own.returns)),
            ("gain", interval(own.gain, sign=True)),
            ("scenarios", str(own.returns.n)),
        ]
    )


def _arms(judged: Sequence[Judged]) -> Html:
    rows = [
        (
            arm.name,
            interval(arm.returns),
            "–" if arm.gain is None else interval(arm.gain, sign=True),
            p_value(arm.p),
            str(arm.returns.n),
        )
        for arm in judged
    ]
    return table(("", "return", "gain", "p", "n"), rows)


def _language(judged: Sequence[Judged]) -> Html:
    rows = []
    for arm in judged:
        how = arm.behaviour
        turning = "–" if how.turning is None else interval(how.turning)
        norm = "–" if how.norm is None else interval(how.norm)
        rows.append((arm.name, *map(interval, (how.perplexity, how.distinct2, how.length)), turning, norm))
    return table(("", "perplexity", "distinct pairs", "length", "cosine of actions", "length of actions"), rows)


def _stages(records: Sequence[dict[str, Any]], verdict: dict[str, Any]) -> Html:
    took: dict[str, dict[str, Any]] = {}
    for record in records:
        if "stage" in record:
            took.setdefault(record["stage"], record)  # a resumed run tells again of what it only read
    rows = []
    for name in [*took, *(name for name in verdict["validation"] if name not in took)]:
        mark = " (chosen)" if name == verdict["chosen"] else ""
        done = took.get(name, {})
        figures = ", ".join(f"{key} {figure:.4g}" for key, figure in done.get("figures", {}).items())
        minutes = f"{done['seconds'] / 60:.1f}" if done else "–"
        rows.append((name + mark, number(verdict["validation"].get(name)), figures, minutes))
    return table(("stage", "validation", "", "minutes"), rows)


def _acts(planner: Judged) -> Html:
    rounds = planner.behaviour.acts
    names = sorted(
        {name for shares in rounds for name in shares}, key=lambda name: -sum(r.get(name, 0) for r in rounds)
    )
    rows = [(name, *(f"{100 * shares.get(name, 0.0):.0f} %" for shares in rounds)) for name in names]
    header = ("dialogue act", *(f"round {number}" for number in range(1, len(rounds) + 1)))
    return table(header, rows, "How often each act was the largest in the planner's action.")


def _td3bc(told: Sequence[dict[str, float]]) -> Figure | None:
    if len(told) < 2:
        return None
    drawn = figure(WIDTH, 2.6)
    left, right = drawn.subplots(1, 2)
    steps = [record["step"] for record in told]
    for axes, names in ((left, ("critic_loss", "bc")), (right, ("q", "policy_q", "target"))):
        for color, name in zip(COLORS, names, strict=False):
            points = [(step, record[name]) for step, record in zip(steps, told, strict=True) if name in record]
            axes.plot(*zip(*points, strict=True), color=color, label=name.replace("_", " "))
        axes.set_xlabel("updates")
        axes.legend(frameon=False, fontsize=8)
        style_axes(axes)
    return drawn


def _dialogues(folder: Path) -> list[Html]:
    """The first scenarios as they went without the planner and with it."""
    without, with_it = (_played(folder, arm) for arm in ("unsteered", "planner"))
    shown = []
    for task in sorted(without.keys() & with_it.keys())[:SHOWN]:
        columns = (
            element("div", element("h3", title), *_turns(played[task]))
            for title, played in (("unsteered", without), ("planner", with_it))
        )
        shown.append(details(f"Scenario {task}", element("div", *columns, class_="columns")))
    return shown


def _played(folder: Path, arm: str) -> dict[int, Episode]:
    runs = RunFolder.list(folder / "episodes" / f"held-out-{arm}")
    return {int(episode.metadata["task"]): episode for episode in runs[0].episodes.latest()} if runs else {}


def _turns(episode: Episode) -> list[Html]:
    lines = []
    for turn in episode.turns:
        earned = turn.reward.get(str(episode.metadata["agent"]), 0.0)
        act = turn.readings.get("act")
        marks = ([f"{act}"] if act else []) + ([f"+{earned:.2f}"] if earned > 0 else [])
        said = (element("b", turn.role), ": ", turn.text or "(no text)")
        lines.append(
            element("p", *said, *(part for mark in marks for part in (" ", element("span", mark, class_="chip"))))
        )
    return lines
