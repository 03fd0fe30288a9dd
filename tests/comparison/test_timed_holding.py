"""Comparing controls in little time: the arms stay paired, and a resumed run ends as one without a limit."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from telic.capability.change import Change
from telic.capability.language import LanguageHealth
from telic.comparison import hold
from telic.comparison.report import write_comparison_report
from telic.comparison.results import ComparisonRun, read_comparison
from telic.comparison.stages import BANK, HELD_OUT, TUNING
from telic.episodes import BASELINE
from telic.models import Reply, Request, ScriptedModel
from telic.progress import ProgressReport, deadline
from telic.purpose import Purpose
from telic.run_summary import summarise_run
from telic.runs import RunFolder
from telic.statistics import Interval
from tests.timed import Clock, SlowScorer

QUICK: dict[str, Any] = {
    "rounds": 2, "dialogues": 20, "tuning_dialogues": 10, "resamples": 100, "questions": 80, "budget": 1.0,
    "controls": ("reminder", "prompt"),
}  # fmt: skip
TEXT = """
name = "travel"
system = "You are Mia, a travel agent."
[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


UNKNOWN = Interval(None, None, None, 0)
CHANGE = Change(controlled=UNKNOWN, baseline=UNKNOWN, difference=UNKNOWN, p=None)
LANGUAGE = LanguageHealth(
    kl=UNKNOWN, perplexity=UNKNOWN, perplexity_ratio=UNKNOWN, distinct1=CHANGE, distinct2=CHANGE, length=CHANGE
)


def timed(minutes: float | None, folder: Path | None, patch: pytest.MonkeyPatch, **options: Any) -> ComparisonRun:
    """Compare on a model that spends a second on each reply; all takes it a quarter of an hour."""
    clock = Clock()
    patch.setattr("telic.progress.deadline.CLOCK", clock)

    def slow(*_: Any) -> LanguageHealth:  # the language of a model without logits cannot be compared
        clock.now += 5
        return LANGUAGE

    patch.setattr("telic.comparison.costs.language_baseline", slow)
    patch.setattr("telic.comparison.costs.language_health", slow)
    settings = QUICK | options
    return hold(
        SlowScorer(clock, 1.0, drift=0.2), Purpose.from_text(TEXT, "travel.toml"), folder=folder, minutes=minutes,
        **settings,
    )  # fmt: skip


def dialogues_by_arm(run: ComparisonRun, stage: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for episode in run.episodes:
        played_in, arm, dialogue = episode.id.split("/")
        if played_in == stage:
            found[arm].append(dialogue)
    return dict(found)


@pytest.mark.parametrize("minutes", [0.01, 2, 8])
def test_all_arms_play_the_same_dialogues_and_are_asked_the_same(
    minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = timed(minutes, None, monkeypatch, bank_dialogues=20)
    for stage, arms in ((TUNING, 4), (HELD_OUT, 3), (BANK, 2 if run.winner else 0)):
        by_arm = dialogues_by_arm(run, stage)
        assert len(by_arm) == arms
        if not arms:
            continue
        [played] = {tuple(sorted(names)) for names in by_arm.values()}
        assert played == tuple(f"{number:04d}" for number in range(len(played)))
        assert 1 <= len(played) < 20
    assert run.shortfall is not None
    assert run.shortfall.parts["tuning dialogues"] == (len(dialogues_by_arm(run, TUNING)[BASELINE]), 10)
    n = len(dialogues_by_arm(run, HELD_OUT)[BASELINE])
    assert all(arm.gain is None or arm.gain.n == n for arm in run.compared)
    assert {arm.stability.counts.episodes for arm in run.compared} == {n}
    tuned = {(trial.cost.n, trial.recall.n if trial.recall else 0) for trial in run.trials}
    [(general, recall)] = tuned
    assert run.shortfall.parts["tuning questions"] == (general + recall, 60)
    assert general >= 16
    assert recall >= 5


def test_every_phase_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    run = timed(5, None, monkeypatch, bank_dialogues=0)
    assert run.shortfall is not None
    shares = {name: finished / planned for name, (finished, planned) in run.shortfall.parts.items()}
    assert shares.pop("language comparisons") in (0, 1), "all controls are compared, or none"
    assert shares.keys() == {"tuning dialogues", "tuning questions", "dialogues", "questions"}
    assert all(share >= 0.25 for share in shares.values()), shares
    assert max(shares["tuning dialogues"], shares["tuning questions"], shares["dialogues"]) < 0.6
    assert deadline.CLOCK() - Clock().now < 1.1 * 300


class Slow(ScriptedModel):
    """Knows its name before the dialogue, or where it has just been told; spends a second on each reply."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(lambda messages: messages[-1].content if len(messages) > 2 else "I am Mia.")
        self.clock = clock

    def _reply(self, request: Request) -> Reply:
        self.clock.now += 1
        return super()._reply(request)


def test_in_little_time_the_winner_is_checked_in_fewer_dialogues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)
    told: list[ProgressReport] = []
    settings = QUICK | {"controls": ("reminder:every=1",), "bank_dialogues": 20}
    travel = Purpose.from_text(TEXT, "travel.toml")
    cut = hold(Slow(clock), travel, folder=tmp_path, minutes=4, progress=told.append, **settings)
    assert cut.winner is not None
    assert cut.shortfall is not None
    done, planned = cut.shortfall.parts["bank dialogues"]
    assert planned == 20
    assert 5 <= done < 15, "it gets its share of the time"
    assert clock.now < 1000 + 1.1 * 240
    assert "other instructions" in {report.phase for report in told}
    assert cut.winner.bank_gain is not None
    assert cut.winner.bank_gain.n == done
    whole = hold(Slow(Clock()), travel, resume=cut.folder, **settings)
    assert whole.shortfall is None
    assert whole.winner is not None
    assert whole.winner.bank_gain is not None
    assert whole.winner.bank_gain.n == 20


def test_a_resumed_comparison_ends_as_one_without_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cut = timed(4, tmp_path, monkeypatch)
    assert cut.shortfall is not None
    assert cut.folder is not None
    run = RunFolder.open(cut.folder)
    assert read_comparison(run).shortfall == summarise_run(run).shortfall == cut.shortfall
    whole = timed(None, None, monkeypatch)
    again = timed(None, None, monkeypatch, resume=cut.folder)
    assert again.shortfall is None
    assert again.folder == cut.folder
    assert summarise_run(RunFolder.open(again.folder)).shortfall is None
    assert [arm.model_dump() for arm in again.compared] == [arm.model_dump() for arm in whole.compared]
    assert [trial.model_dump() for trial in again.trials] == [trial.model_dump() for trial in whole.trials]
    played = {episode.id: episode for episode in again.episodes}
    assert all(played[episode.id] == episode for episode in whole.episodes)


def test_where_the_questions_took_all_the_time_the_language_is_left_for_a_resumed_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = timed(0.01, tmp_path, monkeypatch)
    assert cut.shortfall is not None
    assert cut.folder is not None
    assert cut.shortfall.parts["language comparisons"] == (0, 2)
    text = write_comparison_report(cut.folder, cut).read_text()
    assert "Not measured: the time limit was reached; --resume measures it." in text
    assert "Unknown:" not in text, "the model scores answers"
    assert f"{cut.shortfall}. To play the rest, continue with --resume {cut.folder}." in text
    timed(None, None, monkeypatch, resume=cut.folder)
    assert "To play the rest" not in write_comparison_report(cut.folder, cut).read_text()


def test_a_run_that_lacks_its_language_only_is_not_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = timed(None, tmp_path, monkeypatch)
    assert whole.shortfall is None
    assert whole.folder is not None
    assert timed(1e-9, None, monkeypatch, resume=whole.folder).shortfall is None, "what was measured is kept"
    metrics = whole.folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(line for line in lines if '"language"' not in line))
    again = timed(1e-9, None, monkeypatch, resume=whole.folder)
    assert again.shortfall is not None
    assert again.shortfall.unfinished == "0 of 2 language comparisons"


def test_the_phases_are_named_and_the_time_left_includes_those_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[ProgressReport] = []
    timed(None, None, monkeypatch, progress=told.append)
    phases = list(dict.fromkeys(report.phase for report in told if report.phase))
    assert phases == ["tuning", "tuning costs", "comparing", "costs"], "there is no winner to check elsewhere"
    for phase in phases:
        last = [report for report in told if report.phase == phase][-1]
        assert last.done == last.total, "each phase has a total of its own"
    early = next(report for report in told if report.phase == "tuning" and report.done == 50)
    assert early.left is not None
    comparing = next(report for report in told if report.phase == "comparing" and report.done == 10)
    assert comparing.left is not None
    assert early.left > comparing.left > 60
    assert told[-1].left == 0
    notices = [sentence for report in told for sentence in report.notices]
    assert len([one for one in notices if one.startswith("About ") and "--minutes" in one]) == 1
