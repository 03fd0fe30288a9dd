"""Measurements of a model whose stability is known, and runs that are interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models import Control, FakeModel, Sampling
from telic.models.control import ControlPoint
from telic.progress import ProgressReport
from telic.purpose import Purpose
from telic.run_summary import summarise_run
from telic.runs import RunFolder
from telic.stability import Bank, MeasureConfig, StabilityRun, measure
from telic.stability.plan import plan_dialogues
from tests.timed import Clock, SlowFake

QUICK: dict[str, Any] = {"rounds": 2, "dialogues": 5, "samples": 1, "resamples": 100}
TOLD = 'partner = "You are in a hurry."\n'
TEXT = """
name = "travel"
system = "You are Mia, a travel agent."
[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


def purpose(more: str = "", text: str = TEXT) -> Purpose:
    return Purpose.from_text(more + text, "travel.toml")


def lines(folder: Path) -> list[str]:
    return sorted((folder / "episodes.jsonl").read_text(encoding="utf-8").splitlines())


def test_a_model_that_drifts_is_found_to_drift_as_much_as_it_does() -> None:
    run = measure(FakeModel(drift=0.3), purpose(), rounds=4, dialogues=60, resamples=200)
    assert [point.n for point in run.curve] == [60] * 5
    for point in run.curve:
        assert point.stability == pytest.approx(0.7**point.round, abs=0.12)
    assert run.curve[0].stability == 1.0
    assert run.stability.drift_round == 1
    assert "drifts significantly" in run.stability.headline


@pytest.mark.parametrize("drift", [0.0, None])
def test_a_model_that_does_not_drift_is_not_found_to(drift: float | None) -> None:
    run = measure(FakeModel(drift=drift), purpose(), rounds=4, dialogues=20, resamples=100)
    assert {point.stability for point in run.curve} == {0.0 if drift is None else 1.0}
    assert run.stability.drift_round is None
    assert not any(drop.significant for drop in run.stability.drops)


def test_nothing_is_kept_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = measure(FakeModel(), purpose(), **QUICK)
    assert run.folder is None
    assert len(run.episodes) == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("probe_every", [1, 2, 3])
def test_as_many_replies_come_as_were_announced(probe_every: int, tmp_path: Path) -> None:
    told: list[ProgressReport] = []
    settings = {**QUICK, "samples": 3, "probe_every": probe_every}
    run = measure(FakeModel(), purpose(), folder=tmp_path, progress=told.append, **settings)
    counts = [report.done for report in told if report.phase == "playing"]
    assert counts == list(range(len(counts)))
    assert {report.total for report in told if report.phase == "playing"} == {told[-1].done}
    assert {report.folder for report in told} == {run.folder}
    again = measure(FakeModel(), purpose(), resume=run.folder, progress=told.append, **settings)
    assert told[-1].total == 0
    assert again.stability == run.stability


def timed(minutes: float | None, folder: Path | None, monkeypatch: pytest.MonkeyPatch, **options: Any) -> StabilityRun:
    """Measure with a model that spends a second on each reply: six on a dialogue, three minutes on all 30."""
    clock = Clock()
    monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)
    model = SlowFake(clock, 1.0, drift=0.2)
    return measure(model, purpose(), folder=folder, minutes=minutes, **QUICK | {"dialogues": 30} | options)


def test_a_time_limit_leaves_whole_dialogues_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = timed(1, tmp_path, monkeypatch)
    assert 3 < len(run.episodes) < 30
    assert [episode.id for episode in run.episodes] == [f"{number:04d}" for number in range(len(run.episodes))]
    whole = timed(None, None, monkeypatch)
    assert run.episodes == whole.episodes[: len(run.episodes)], "none is cut short"
    assert run.stability.counts.episodes == len(run.episodes)
    assert str(run.shortfall) == f"--minutes 1: finished {len(run.episodes)} of 30 dialogues"
    assert whole.shortfall is None
    assert timed(60, None, monkeypatch).shortfall is None


def test_the_shortest_time_leaves_a_dialogue_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    run = timed(0.001, None, monkeypatch)
    assert len(run.episodes) == run.curve[0].n == 1
    assert run.curve[0].low is None, "one dialogue gives no interval"
    assert "too few dialogues to tell" in run.stability.headline
    assert str(run.shortfall) == "--minutes 0.001: finished 1 of 30 dialogues"


def test_a_resumed_run_plays_what_the_limit_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cut = timed(1, tmp_path, monkeypatch)
    assert cut.folder is not None
    assert summarise_run(RunFolder.open(cut.folder)).shortfall == cut.shortfall is not None
    assert "minutes" not in (cut.folder / "config.toml").read_text(), "a resumed run has no limit of its own accord"
    further = timed(0.7, None, monkeypatch, resume=cut.folder)
    assert len(cut.episodes) < len(further.episodes) < 30
    ended = timed(None, None, monkeypatch, resume=cut.folder)
    whole = timed(None, tmp_path / "whole", monkeypatch)
    assert ended.shortfall is summarise_run(RunFolder.open(cut.folder)).shortfall is None
    assert (ended.episodes, ended.stability) == (whole.episodes, whole.stability)
    assert whole.folder is not None
    assert lines(cut.folder) == lines(whole.folder)


@pytest.mark.parametrize("minutes", [0, -2, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(minutes: float) -> None:
    with pytest.raises(ConfigError, match="minutes is "):
        measure(FakeModel(), purpose(), minutes=minutes)


def test_dialogues_whose_judge_is_a_model_keep_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)
    judged = purpose(
        text=TEXT.replace('contains = "Mia"', 'all_of = [{ model = "fake", rubric = "It says its name." }]')
    )
    run = measure(SlowFake(clock, 1.0), judged, minutes=1, **QUICK | {"dialogues": 30, "concurrency": 4})
    assert 1 < len(run.episodes) < 30
    assert [episode.id for episode in run.episodes] == [f"{number:04d}" for number in range(len(run.episodes))]


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interrupted_run_ends_as_one_that_was_not(stop_after: int, tmp_path: Path) -> None:
    settings = {**QUICK, "seed": 3, "concurrency": 1}
    whole = measure(FakeModel(drift=0.2), purpose(), folder=tmp_path / "whole", **settings)
    replies = len(whole.episodes[0].turns) - 1 + len(whole.episodes[0].branches)

    class Stop(Exception):  # noqa: N818
        pass

    def interrupt(report: ProgressReport) -> None:
        if report.done > stop_after * replies + 2:
            raise Stop

    with pytest.raises(Stop):
        measure(FakeModel(drift=0.2), purpose(), folder=tmp_path / "cut", progress=interrupt, **settings)
    [cut] = RunFolder.list(tmp_path / "cut")
    assert len(cut.done()) == stop_after
    # Not how it is played: any concurrency gives the same.
    resumed = measure(FakeModel(drift=0.2), purpose(), resume=cut.path, **{**settings, "concurrency": 3})
    assert whole.folder is not None
    assert lines(cut.path) == lines(whole.folder)
    assert resumed.stability == whole.stability


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path: Path) -> None:
    run = measure(FakeModel(), purpose(), folder=tmp_path, **QUICK)
    assert run.folder is not None
    warm = purpose("sampling.temperature = 0.5\n")
    for other, settings, difference in (
        (purpose(), {"rounds": 3}, r"measure.rounds: the run has 2, this command 3"),
        (purpose(), {"temperature": 0.5}, r"sampling.answerer.temperature: the run has 1.0, this command 0.5"),
        (warm, {}, r"sampling.answerer.temperature: the run has 1.0, this command 0.5"),
        (purpose(text=TEXT.replace("Mia", "Max")), {}, "purpose.system"),
    ):
        with pytest.raises(ConfigError, match=difference):
            measure(FakeModel(), other, resume=run.folder, **{**QUICK, **settings})
    with pytest.raises(ConfigError, match=r"partner: the run has .plain users., this command not set"):
        measure(FakeModel(), purpose(TOLD), resume=run.folder, **QUICK)
    # The same by another way: what was the default is now said.
    told = measure(FakeModel(), purpose(TOLD), folder=tmp_path, **QUICK)
    measure(FakeModel(), purpose(TOLD), resume=told.folder, **QUICK, temperature=1.0, top_p=0.9, utterance_tokens=100)


def test_an_edited_bank_is_another_one(tmp_path: Path) -> None:
    text = "".join(
        f'[[triplets]]\nid = "{name}"\nsystem = "Say {name}."\nask = "What?"\njudge = {{ contains = "{name}" }}\n'
        for name in ("tea", "coffee")
    )
    path = tmp_path / "bank.toml"
    path.write_text(text)
    run = measure(FakeModel(drift=0.0), Bank.from_file(path), folder=tmp_path, **QUICK)
    assert {branch.role for branch in run.episodes[0].branches} == {"a", "b"}
    assert {point.stability for point in run.curve} == {1.0}
    path.write_text(text.replace("What?", "Which?"))
    with pytest.raises(ConfigError, match=r"bank\.sha256"):
        measure(FakeModel(drift=0.0), Bank.from_file(path), resume=run.folder, **QUICK)


def test_the_purpose_says_how_it_is_drawn_unless_the_settings_do() -> None:
    sampling = 'sampling = { temperature = 0.2, top_k = 5, max_new_tokens = 7, stop = ["###"] }\n'
    config = MeasureConfig(dialogues=1)
    [plan] = plan_dialogues(purpose(sampling), None, config)
    assert plan.b.utterance == Sampling(7, temperature=0.2, top_p=0.9, top_k=5, stop=("###",))
    assert plan.b.answer == Sampling(50, temperature=0.2, top_p=0.9, top_k=5, stop=("###",))
    assert plan.a.utterance == Sampling(60, temperature=0.7, top_p=0.9), "a plain user's own"
    [plan] = plan_dialogues(purpose(sampling + 'partner = "You are P."\n'), None, config)
    assert plan.a.utterance == Sampling(100, temperature=1.0, top_p=0.9)
    said = MeasureConfig(dialogues=1, temperature=0.0, utterance_tokens=30)
    [plan] = plan_dialogues(purpose(sampling), purpose(sampling), said)
    assert plan.a.utterance == plan.b.utterance == Sampling(30, temperature=0.0, top_p=0.9, top_k=5, stop=("###",))
    episodes = measure(FakeModel(), purpose(sampling), **QUICK).episodes
    assert (
        max(turn.tokens for turn in episodes[0].turns if turn.role == "b")
        <= 7
        < max(turn.tokens for episode in episodes for turn in episode.turns if turn.role == "a")
    )


def test_the_other_side_is_the_partner_in_whatever_form() -> None:
    config = MeasureConfig(dialogues=3)
    drawn = plan_dialogues(purpose(), None, config)
    assert len({plan.a.system for plan in drawn}) == 3
    told = plan_dialogues(purpose(TOLD), None, config)
    assert {plan.a.system for plan in told} == {"You are in a hurry."}
    assert not any(plan.a.probes for plan in (*drawn, *told))
    [silent] = {plan.a for plan in plan_dialogues(purpose(), Purpose(name="p", system="You are P."), config)}
    assert (silent.system, silent.probes) == ("You are P.", ())
    both = measure(FakeModel(), purpose(), partner=purpose(text=TEXT.replace("Mia", "Max")), **QUICK)
    assert {branch.role for branch in both.episodes[0].branches} == {"a", "b"}


def test_all_openers_are_used_before_one_is_used_again() -> None:
    plans = plan_dialogues(purpose('openers = ["one", "two", "three"]\n'), None, MeasureConfig(dialogues=6))
    assert sorted(plan.opener for plan in plans[:3]) == sorted(plan.opener for plan in plans[3:]) == [
        "one", "three", "two",
    ]  # fmt: skip
    assert len({plan.seed for plan in plans}) == 6


class Attend(Control):
    name = "attend"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})


class Remind(Control):
    name = "remind"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: Any) -> Any:
        return (*messages, messages[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: {"purpose": Purpose(name="x", system="y")}, ConfigError, r"'x' has no \[\[probes\]\]"),
        (
            lambda: {"purpose": purpose('controls = [{ name = "hodl" }]\n')},
            ConfigError,
            r"travel\.toml, line 1: controls\[0\]: unknown control 'hodl'",
        ),
        (
            lambda: {"purpose": purpose(text=TEXT.replace("contains", "contians"))},
            ConfigError,
            r"travel\.toml, line 6: probes\[0\]\.judge.*did you mean 'contains'",
        ),
        (lambda: {"controls": [Attend()]}, UnsupportedControlError, "'attend' acts on attention"),
        (lambda: {"rounds": -1}, ConfigError, "rounds is -1; expected a number greater than or equal to 0"),
        (lambda: {"round": 1}, ConfigError, "unknown setting 'round'; did you mean 'rounds'"),
        (
            lambda: {"purpose": purpose(text=TEXT.replace('contains = "Mia"', 'model = "smolm2", rubric = "x"'))},
            ModelError,
            "unknown model 'smolm2'",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_there_is_a_folder(
    make: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        measure(FakeModel(), **{"purpose": purpose(), "folder": tmp_path, **QUICK, **make()})
    assert not list(tmp_path.iterdir())


def test_controls_hold_the_purpose_and_not_the_partner() -> None:
    run = measure(FakeModel(drift=0.5), purpose(), controls=[Remind()], **{**QUICK, "rounds": 3})
    assert {point.stability for point in run.curve} == {1.0}


def test_a_model_that_only_fails_gives_a_result_that_says_so() -> None:
    run = measure(FakeModel(fail_every=1), purpose(), **QUICK)
    assert [(point.round, point.stability, point.missing) for point in run.curve] == [(0, None, 5)]
    assert run.stability.counts.errors == {"model: injected fault (fail_every=1)": 5}
    assert "nothing to compare" in run.stability.headline


def test_a_model_judge_of_the_players_name_is_the_player() -> None:
    text = TEXT.replace('contains = "Mia"', 'all_of = [{ model = "fake", rubric = "It says its name." }]')
    model = FakeModel(drift=0.0)
    run = measure(model, purpose(text=text), **QUICK)
    assert any("rubric" in messages[-1].content for messages in model.seen)
    assert run.curve[0].missing == 5, "a fake model gives no grade"
    assert next(iter(run.stability.counts.missing)).startswith("no grade")
