"""The report of a comparison: what is drawn, and what is said where nothing can be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from telic.comparison.costs import Cost
from telic.comparison.figures import arms_attention_figure, arms_figure, pareto_figure
from telic.comparison.report import write_comparison_report
from telic.comparison.results import ArmDifference, ArmResult, ComparisonRun, TuningTrial
from telic.stability.analysis import analyse_stability
from telic.stability.utterances import UtteranceStability
from telic.statistics import Interval
from tests.stability.test_report import selfchat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

GAIN = ArmDifference(value=0.25, low=0.125, high=0.375, n=8, p=0.004)
NAMES = ("baseline", "attention_hold-strength=1.0", "split_softmax-k=0.85", "reminder-every=2", "refresh")


def cost(loss: float | None) -> Cost:
    return Cost(loss=loss, low=loss, high=loss, n=80, correct=())


def arm(name: str, *, loss: float | None, spoken: bool = True) -> ArmResult:
    first = name == "baseline"
    said = UtteranceStability(curve=[], kept=Interval(0.5, 0.25, 0.75, 8), fall=Interval(None, None, None, 0), p=None)
    return ArmResult(
        name=name, kind=name.partition("-")[0], spec=None if first else {"name": name},
        stability=analyse_stability([selfchat(i, rounds=3) for i in range(1, 5)], resamples=50),
        gain=None if first else GAIN, bank=None, bank_gain=None, cost=None if first else cost(loss),
        recall=None if first else cost(loss), spoken=said if spoken else None,
        spoken_gain=GAIN if spoken and not first else None, language=None,
    )  # fmt: skip


def comparison(*, loss: float | None = 0.0125, spoken: bool = True) -> ComparisonRun:
    trials = [
        TuningTrial(
            name=name, kind=name.partition("-")[0], spec={}, area=0.5, gain=GAIN, cost=cost(loss), affordable=True,
            chosen=True, recall=None,
        )
        for name in NAMES[1:]
    ]  # fmt: skip
    arms = [arm(name, loss=loss, spoken=spoken) for name in NAMES]
    return ComparisonRun(trials, arms, dict.fromkeys(NAMES[2:], GAIN), 0.03, document={"name": "travel"})


def test_rounds_are_whole_numbers_and_every_arm_has_its_name() -> None:
    run = comparison()
    for drawn in (arms_figure(run.compared), arms_attention_figure(run.compared)):
        assert drawn is not None
        [axes] = drawn.axes
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        assert {text.get_text() for text in axes.texts} == set(NAMES)


def test_where_no_cost_is_known_the_report_says_so_instead_of_an_empty_plot(tmp_path: Path) -> None:
    run = comparison(loss=None)
    assert pareto_figure(run) is None
    text = write_comparison_report(tmp_path, run).read_text(encoding="utf-8")
    assert "There is no curve: the cost is unknown." in text
    assert "Unknown: it is measured by the likelihood of given answers" in text
    assert text.count("which this model does not report.") == 2, "of the cost and of the language"
    assert "Not measured" not in text
    assert "questions about the dialogue lost" not in text
    assert not (tmp_path / "pareto.png").exists()
    assert (tmp_path / "curves.png").exists()


def test_where_costs_are_known_they_are_drawn_with_the_budget(tmp_path: Path) -> None:
    drawn = pareto_figure(comparison())
    assert drawn is not None
    legend = drawn.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [*(name.partition("-")[0] for name in NAMES[1:]), "baseline", "budget, 3%"]
    text = write_comparison_report(tmp_path, comparison()).read_text(encoding="utf-8")
    assert "+1.2 %" in text
    assert "utterances that follow them" in text


def test_without_a_control_there_is_no_language_to_compare(tmp_path: Path) -> None:
    base = arm("baseline", loss=None).model_copy(update={"cost": cost(0.0)})
    text = write_comparison_report(tmp_path, ComparisonRun([], [base], {}, 0.03)).read_text(encoding="utf-8")
    assert "There is no control to compare." in text
    assert "Not measured" not in text


def test_a_column_without_a_value_is_left_out(tmp_path: Path) -> None:
    text = write_comparison_report(tmp_path, comparison(spoken=False)).read_text(encoding="utf-8")
    assert "utterances that follow them" not in text
    assert "gain under other instructions" not in text
    assert "gain over the baseline" in text


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


def test_every_column_is_seen_on_a_wide_screen_and_the_page_fits_a_phone(page: Page, tmp_path: Path) -> None:
    report = write_comparison_report(tmp_path, comparison())
    page.goto(report.as_uri())
    clipped = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert page.evaluate(clipped) == 0
    sizes = page.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().width)")
    assert max(sizes) <= 650, "the text of a figure is not blown up"
    assert re.search("baseline", page.locator("figure").first.inner_text())
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
