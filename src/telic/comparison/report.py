"""The report of a comparison of controls: stability against cost, curves by round, attention by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from telic.comparison.figures import arms_attention_figure, arms_figure, pareto_figure
from telic.comparison.results import ArmDifference, ArmResult, ComparisonRun, TuningTrial
from telic.reports import Html, element, figure_svg, save_png, section, table, write_report
from telic.reports.parts import config_section, interval, number, p_value, sentence

__all__ = ["write_comparison_report"]

LANGUAGE = (
    "Replies to neutral prompts after some small talk, with each control and without one: divergence of the next-token "
    "distributions in nats per token, the ratio of perplexities under the model without a control, and the change in "
    "the share of distinct word pairs and in length (tokens)."
)
SPOKEN = (
    "Instructions for every reply are judged in the utterances too: the share of a dialogue's utterances that follow "
    "them, mean over dialogues, with 95 % intervals."
)
COST = (
    "Multiple-choice questions that the model gets wrong under the control and right without it, minus those the other "
    "way round, in percent of the questions, with 95 % intervals. Below zero, the control helps."
)
UNSCORED = "it is measured by the likelihood of given answers, which this model does not report"


def write_comparison_report(folder: Path, run: ComparisonRun) -> Path:
    """Write `report.html`, and `curves.png`, `attention.png` and `pareto.png` where there is such data.

    Returns:
        The path of the page.
    """
    figures = {
        "curves": arms_figure(run.compared),
        "attention": arms_attention_figure(run.compared),
        "pareto": pareto_figure(run),
    }
    for name, drawn in figures.items():
        if drawn is not None:
            save_png(drawn, folder / f"{name}.png")
    sections = [
        section(
            "Held-out dialogues",
            element("p", "No strength was chosen on these dialogues. Gains are paired by dialogue."),
            _compared_table(run),
            _drawn(
                figures["curves"],
                "Stability by round under each control",
                "Mean over dialogues. Bands, where there are two curves only, are 95 % intervals.",
                "There is no curve: no dialogue has a score.",
            ),
        )
    ]
    sections += _demands_section(run) + _spoken_section(run)
    if figures["attention"] is not None:
        alt = "Attention mass on the system prompt by round under each control"
        sections.append(section("Attention to the system prompt", figure_svg(figures["attention"], alt)))
    sections += [_cost_section(run), _language_section(run.compared), _tuning_section(run, figures["pareto"])]
    sections.append(config_section(run.document, {"episodes": len(run.episodes)}))
    title = f"Controls for {run.document.get('name', 'a purpose')}"
    return write_report(folder, title, sentence(run.headline), *sections)


def _drawn(figure: Figure | None, alt: str, caption: str, why_not: str) -> Html:
    """Return a figure, or the reason why there is none."""
    return element("p", why_not) if figure is None else figure_svg(figure, alt, caption)


def _tuning_section(run: ComparisonRun, figure: Figure | None) -> Html:
    hidden = [trial.name for trial in run.trials if trial.area is None or trial.cost.loss is None]
    left_out = f" Not shown, because one of the two is unknown: {', '.join(hidden)}." if hidden else ""
    unscored = all(trial.cost.loss is None for trial in run.trials)
    unknown = "the cost is unknown" if unscored else "no tuning dialogue has a score"
    return section(
        "Stability against cost",
        element("p", "The tuning, on dialogues other than those above: every strength that was tried."),
        _drawn(
            figure,
            "Area under the stability curve against the share of questions lost, in the tuning",
            f"A ring marks the strength that was chosen: the most stable one within the budget.{left_out}",
            f"There is no curve: {unknown}.",
        ),
        _trials_table(run.trials),
    )


def _compared_table(run: ComparisonRun) -> Html:
    return _columns(
        run.compared,
        {
            "area under the curve": lambda arm: interval(arm.stability.area),
            "gain over the baseline": lambda arm: _difference(arm.gain),
            "adjusted p": lambda arm: "" if arm.gain is None else p_value(arm.gain.p),
            "gain without the probes never followed": lambda arm: _difference(arm.followed_gain),
            "lead of the best control": lambda arm: _difference(run.versus.get(arm.name)),
            "gain under other instructions": lambda arm: _difference(arm.bank_gain),
        },
    )


def _demands_section(run: ComparisonRun) -> list[Html]:
    if not run.demands:
        return []
    text = (
        "Gains over the baseline on the instructions of the bank, by what they demand of a reply; paired by dialogue."
    )
    rows = [
        [arm.name, *(_difference(arm.demand_gains.get(demand)) for demand in run.demands)] for arm in run.compared[1:]
    ]
    listed = element("div", table(["control", *run.demands], rows), class_="numbers")
    return [section("By what the instruction demands of a reply", element("p", text), listed)]


def _spoken_section(run: ComparisonRun) -> list[Html]:
    if not any(arm.spoken for arm in run.compared):
        return []
    columns: dict[str, Callable[[ArmResult], str]] = {
        "utterances that follow them": lambda arm: "" if arm.spoken is None else interval(arm.spoken.kept),
        "gain over the baseline": lambda arm: _difference(arm.spoken_gain),
    }
    return [section("In the dialogue itself", element("p", SPOKEN), _columns(run.compared, columns))]


def _columns(compared: Sequence[ArmResult], columns: Mapping[str, Callable[[ArmResult], str]]) -> Html:
    """Return a table of the arms, without the columns that are empty."""
    cells = {title: [cell(arm) for arm in compared] for title, cell in columns.items()}
    filled = {title: column for title, column in cells.items() if any(cell not in ("", "–") for cell in column)}
    rows = [[arm.name, *(column[i] for column in filled.values())] for i, arm in enumerate(compared)]
    return element("div", table(["control", *filled], rows), class_="numbers")


def _unscored(compared: Sequence[ArmResult]) -> bool:
    """Return whether no cost is known: the model scores no replies."""
    costs = [cost for arm in compared for cost in (arm.cost, arm.recall) if cost is not None]
    return all(cost.loss is None for cost in costs)


def _cost_section(run: ComparisonRun) -> Html:
    if _unscored(run.compared):
        return section("Cost", element("p", f"Unknown: {UNSCORED}."))
    return section(
        "Cost",
        element("p", COST),
        _columns(
            run.compared,
            {
                "general questions lost": lambda arm: "" if arm.cost is None else arm.cost.summary,
                "questions about the dialogue lost": lambda arm: "" if arm.recall is None else arm.recall.summary,
            },
        ),
    )


def _language_section(compared: Sequence[ArmResult]) -> Html:
    rows = [
        [
            arm.name,
            interval(arm.language.kl),
            interval(arm.language.perplexity_ratio),
            interval(arm.language.distinct2.difference, sign=True),
            interval(arm.language.length.difference, sign=True),
        ]
        for arm in compared
        if arm.language is not None
    ]
    if not rows:
        return section("Language", element("p", _why_no_language(compared)))
    listed = table(["control", "divergence", "perplexity ratio", "distinct pairs", "length"], rows)
    return section("Language", element("p", LANGUAGE), element("div", listed, class_="numbers"))


def _why_no_language(compared: Sequence[ArmResult]) -> str:
    if _unscored(compared):
        return f"Unknown: {UNSCORED}."
    if len(compared) < 2:
        return "There is no control to compare."
    return "Not measured: the time limit was reached; --resume measures it."


def _trials_table(trials: Sequence[TuningTrial]) -> Html:
    rows = [
        [
            trial.name,
            number(trial.area),
            _difference(trial.gain),
            trial.cost.summary,
            "" if trial.recall is None else trial.recall.summary,
            "chosen" if trial.chosen else "" if trial.affordable else "over the budget",
        ]
        for trial in trials
    ]
    listed = table(["control", "area", "gain over the baseline", "questions lost", "recall lost", ""], rows)
    return element("div", listed, class_="numbers")


def _difference(found: ArmDifference | None) -> str:
    return "" if found is None else interval(found.interval, sign=True)
