"""The report of a training: the evaluation of the planner, the stages, and what the planner does in each round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from telic.episodes import BASELINE, Episode
from telic.errors import RunError
from telic.planner.evaluation import PlannerArmResult
from telic.reports import (
    COLORS,
    Html,
    details,
    element,
    figure,
    figure_svg,
    legend_above,
    save_png,
    section,
    style_axes,
    table,
    tiles,
    write_report,
)
from telic.reports.parts import config_section, interval, intervals_figure, number, p_value
from telic.runs import RunFolder

__all__ = ["write_train_report"]

SHOWN = 6
"""Number of scenarios whose dialogues are shown, without and with the planner."""
WIDTH = 5.0  # inches; the text of figures stays readable on a phone
LANGUAGE = (
    "Perplexity is measured on the utterances under the baseline model, each in its own dialogue. Distinct pairs is "
    "the share of distinct word pairs in an episode. Length is in tokens. Where the actions of neighbouring rounds "
    "have a cosine near 1, the planner is hardly more than a constant prefix."
)
STAGES = "Mean return on the validation episodes. The stage was chosen on them, so its own return is a little too high."


TD3BC_NAMES = {
    "critic_loss": "loss of the critics",
    "bc": "distance to the actions played",
    "q": "value of the actions played",
    "policy_q": "value of the planner's actions",
    "target": "target of the values",
}
"""What each metric of TD3+BC is, as the figure's legend says it."""


def write_train_report(run: RunFolder) -> Path:
    """Write `report.html`, `returns.png` and, if TD3+BC ran, `td3bc.png` into a run's folder.

    Returns:
        The path of the page.

    Raises:
        RunError: the run is not complete.
    """
    records = list(run.read_metrics())
    evaluation = next((record for record in reversed(records) if "judged" in record), None)
    if evaluation is None:
        raise RunError(f"run {str(run.path)!r} is not complete: it has no evaluation yet; continue it with --resume")
    arms = [PlannerArmResult.model_validate(arm) for arm in evaluation["judged"]]
    rows = [(arm.name, arm.returns) for arm in reversed(arms)]
    returns = intervals_figure(rows, [name for name, _ in rows].index("planner"), "mean return of an episode", WIDTH)
    curves = _td3bc([record["td3bc"] for record in records if "td3bc" in record])
    save_png(returns, run.path / "returns.png")
    sections = [
        section(
            "Held-out scenarios",
            element(
                "p",
                "No stage was trained or chosen on these scenarios. Gains are over the baseline, paired by scenario.",
            ),
            _overview(arms),
            figure_svg(
                returns, "Mean return of an episode, by arm", "Means with 95 % bootstrap intervals over scenarios."
            ),
            _arms(arms),
        ),
        section("Language", element("p", LANGUAGE), _language(arms)),
        section("What each stage adds", element("p", STAGES), _stages(records, evaluation)),
    ]
    planner = next(arm for arm in arms if arm.name == "planner")
    if planner.behaviour.acts:
        sections.append(section("What the planner does", _acts(planner)))
    if curves is not None:
        save_png(curves, run.path / "td3bc.png")
        sections.append(section("TD3+BC", figure_svg(curves, "Losses and values over the updates")))
    sections.append(section("Dialogues", *_dialogues(run.path)))
    sections.append(config_section(run.document))
    title = f"A planner for {run.document.get('name', 'a purpose')}"
    return write_report(run.path, title, evaluation["headline"], *sections)


def _overview(arms: Sequence[PlannerArmResult]) -> Html:
    by_name = {arm.name: arm for arm in arms}
    base, own = by_name[BASELINE], by_name["planner"]
    assert own.gain is not None
    return tiles(
        [
            ("baseline", interval(base.returns)),
            ("planner", interval(own.returns)),
            ("gain", interval(own.gain, sign=True)),
            ("scenarios", str(own.returns.n)),
        ]
    )


def _arms(arms: Sequence[PlannerArmResult]) -> Html:
    rows = [
        (
            arm.name,
            interval(arm.returns),
            "–" if arm.gain is None else interval(arm.gain, sign=True),
            p_value(arm.p),
            str(arm.returns.n),
        )
        for arm in arms
    ]
    return element("div", table(("", "return", "gain", "p", "n"), rows), class_="numbers")


def _language(arms: Sequence[PlannerArmResult]) -> Html:
    rows = []
    for arm in arms:
        behaviour = arm.behaviour
        cosine = "–" if behaviour.turning is None else interval(behaviour.turning)
        norm = "–" if behaviour.norm is None else interval(behaviour.norm)
        rows.append(
            (arm.name, *map(interval, (behaviour.perplexity, behaviour.distinct2, behaviour.length)), cosine, norm)
        )
    header = ("", "perplexity", "distinct pairs", "length", "cosine of actions", "length of actions")
    return element("div", table(header, rows), class_="numbers")


def _stages(records: Sequence[dict[str, Any]], evaluation: dict[str, Any]) -> Html:
    took: dict[str, dict[str, Any]] = {}
    for record in records:
        if "stage" in record:
            took.setdefault(record["stage"], record)  # a resumed run reports again the episodes that it loaded
    rows = []
    for name in [*took, *(name for name in evaluation["validation"] if name not in took)]:
        mark = " (chosen)" if name == evaluation["chosen"] else ""
        done = took.get(name, {})
        figures = ", ".join(f"{key} {figure:.4g}" for key, figure in done.get("figures", {}).items())
        minutes = f"{done['seconds'] / 60:.1f}" if done else "–"
        rows.append((name + mark, number(evaluation["validation"].get(name)), figures, minutes))
    return table(("stage", "validation", "", "minutes"), rows)


def _acts(planner: PlannerArmResult) -> Html:
    rounds = planner.behaviour.acts
    names = sorted(
        {name for shares in rounds for name in shares}, key=lambda name: -sum(r.get(name, 0) for r in rounds)
    )
    rows = [(name, *(f"{100 * shares.get(name, 0.0):.0f} %" for shares in rounds)) for name in names]
    header = ("dialogue act", *(f"round {number}" for number in range(1, len(rounds) + 1)))
    return table(header, rows, "Share of turns in which each act was the largest in the planner's action.")


def _td3bc(metrics: Sequence[dict[str, float]]) -> Figure | None:
    if len(metrics) < 2:
        return None
    drawn = figure(WIDTH, 3.0)
    left, right = drawn.subplots(1, 2)
    steps = [record["step"] for record in metrics]
    for axes, names in ((left, ("critic_loss", "bc")), (right, ("q", "policy_q", "target"))):
        for color, name in zip(COLORS, names, strict=False):
            points = [(step, record[name]) for step, record in zip(steps, metrics, strict=True) if name in record]
            axes.plot(*zip(*points, strict=True), color=color, label=TD3BC_NAMES[name])
        axes.set_xlabel("updates")
        style_axes(axes)
        legend_above(axes, columns=1)
    return drawn


def _dialogues(folder: Path) -> list[Html]:
    """Show the first scenarios without and with the planner, side by side."""
    without, with_it = (_played(folder, arm) for arm in (BASELINE, "planner"))
    shown = []
    for task in sorted(without.keys() & with_it.keys())[:SHOWN]:
        columns = (
            element("div", element("h3", title), *_turns(played[task]))
            for title, played in (("baseline", without), ("planner", with_it))
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
