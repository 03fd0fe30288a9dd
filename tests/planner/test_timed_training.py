"""Training in little time: every phase gets some, arms stay paired, and a resumed one ends as one without a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telic.planner.config import PlannerTrainingConfig
from telic.planner.phases import training_phases
from telic.planner.shortening import note_cut, set_aside_after_cut
from telic.planner.training import TrainRun, train
from telic.progress import ProgressReport
from telic.run_summary import summarise_run
from telic.runs import RunFolder
from tests.models import tiny
from tests.planner.test_training import CURRICULA, QUICK, acts, purpose, vowels
from tests.timed import Clock

__all__ = ["acts", "vowels"]


def timed(
    minutes: float | None, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[TrainRun, list[ProgressReport]]:
    """Train where every step takes a second, and nothing else takes time."""
    clock, told = Clock(), list[ProgressReport]()
    monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)

    def step(report: ProgressReport) -> None:
        told.append(report)
        clock.now += 1

    settings = QUICK | {"clone_epochs": 2, "act_epochs": 2} | options
    return train(tiny.local("llama"), purpose(), minutes=minutes, progress=step, **settings), told


@pytest.mark.parametrize("curriculum", CURRICULA)
def test_a_resumed_training_ends_as_one_without_a_limit(
    curriculum: str, acts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few: dict[str, Any] = {"baselines": False}
    few |= {"episodes": 12, "rounds_of_cloning": 1} if curriculum == "acts" else {"episodes": 8}
    settings = CURRICULA[curriculum][0] | few | {"acts": acts}
    cut, _ = timed(1, monkeypatch, folder=tmp_path / "cut", **settings)
    assert summarise_run(RunFolder.open(cut.folder)).shortfall == cut.shortfall is not None
    collection = "explored-1 episodes" if curriculum == "acts" else "natural episodes"
    played, planned = cut.shortfall.parts[collection]
    assert 4 <= played < planned == few["episodes"]
    assert cut.shortfall.parts["held-out-planner episodes"][1] == 6
    [n] = {arm.returns.n for arm in cut.arms}
    assert 4 <= n < 6, "all arms are compared on the same scenarios"
    again, _ = timed(None, monkeypatch, resume=cut.folder, **settings)
    whole, told = timed(None, monkeypatch, folder=tmp_path / "whole", **settings)
    assert again.shortfall is whole.shortfall is None
    assert summarise_run(RunFolder.open(cut.folder)).shortfall is None
    assert (again.stage, again.validation, again.arms) == (whole.stage, whole.validation, whole.arms)
    assert (cut.folder / "shortened-1").is_dir(), "what less was learnt from is kept"
    phases = {phase.name for phase in training_phases(PlannerTrainingConfig.of(**QUICK | settings), [])}
    begun = {report.phase for report in told if report.phase and not report.phase.startswith("held-out")}
    assert begun == phases, "every phase is known beforehand"
    assert told[-1].left == 0


def folder_with(tmp_path: Path, *stages: str) -> RunFolder:
    run = RunFolder.create(tmp_path, "train", "test", {})
    for stage in stages:
        (run.path / stage / "state").mkdir(parents=True)
        (run.path / stage / "config.json").write_text("{}")
    return run


def test_a_training_that_was_cut_goes_on_from_its_state_and_the_later_ones_begin_again(tmp_path: Path) -> None:
    run = folder_with(tmp_path, "first", "second", "third", "planner")
    run.append_metrics({"stage": "first"})
    note_cut(run, "second")
    note_cut(run, "third")
    for stage in ("second", "third"):
        run.append_metrics({"stage": stage})
    for collection in ("validation-third", "held-out-planner"):
        (run.path / "episodes" / collection).mkdir(parents=True)
    set_aside_after_cut(run)
    assert sorted(path.name for path in run.path.iterdir() if path.is_dir()) == [
        "episodes", "first", "second", "shortened-1",
    ]  # fmt: skip
    assert [path.name for path in (run.path / "second").iterdir()] == ["state"]
    assert not list((run.path / "episodes").iterdir())
    set_aside_after_cut(run)
    assert not (run.path / "shortened-2").exists(), "it is set aside once"


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("validation-third", {"validation-third", "validation-second"}),
        ("held-out-planner", {"validation-third", "validation-second", "held-out-planner"}),
    ],
)
def test_a_cut_of_the_evaluation_leaves_the_planners(cut: str, kept: set[str], tmp_path: Path) -> None:
    run = folder_with(tmp_path, "first")
    for collection in ("validation-second", "validation-third", "held-out-planner"):
        (run.path / "episodes" / collection).mkdir(parents=True)
    note_cut(run, f"episodes/{cut}")
    set_aside_after_cut(run)
    assert {path.name for path in (run.path / "episodes").iterdir()} == kept
    assert (run.path / "first" / "config.json").is_file()


def test_what_a_cut_planner_played_is_played_again(tmp_path: Path) -> None:
    run = folder_with(tmp_path, "self-clone", "advantage-1")
    for collection in ("natural", "advantage-1"):
        (run.path / "episodes" / collection).mkdir(parents=True)
    for stage in ("episodes/natural", "self-clone"):
        run.append_metrics({"stage": stage})
    note_cut(run, "advantage-1")
    run.append_metrics({"stage": "episodes/advantage-1"})
    set_aside_after_cut(run)
    assert [path.name for path in (run.path / "episodes").iterdir()] == ["natural"]
    assert (run.path / "self-clone" / "config.json").is_file()
    assert not (run.path / "advantage-1" / "config.json").exists()
