"""`--resume FOLDER` alone continues a run; options in addition agree with the run's, or change what may change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telic.models import FakeModel
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability.measurement import measure
from tests.cli.conftest import PURPOSE, Outcome, Run
from tests.models import tiny

GAME = '\n[game]\nname = "elicitation"\nrounds = 2\n'
STARTED = {
    "measure": ("travel.toml", "--rounds", "2", "--dialogues", "4", "--controls", "reminder:every=2", "--top-p", "0.8"),
    "hold": ("travel.toml", "--rounds", "1", "--dialogues", "3", "--tuning-dialogues", "2", "--controls", "reminder"),
    "play": ("travel.toml", "-n", "4", "--set", "rounds=3", "--no-references", "--trials", "2"),
}
"""Commands with options that a resumed run must have again."""


@pytest.fixture
def interrupted(run: Run, travel: Path) -> Run:
    """Start a command with `STARTED`, and leave only its first episode, as a kill would."""
    travel.write_text(PURPOSE + GAME)

    def call(verb: str, *arguments: str) -> Outcome:
        outcome = run(verb, *STARTED[verb], *arguments, "--json")
        assert outcome.status == 0, outcome.error
        episodes = Path(json.loads(outcome.out)["folder"]) / "episodes.jsonl"
        lines = episodes.read_bytes().splitlines(keepends=True)
        episodes.write_bytes(lines[0])
        return outcome

    return call


def lines_of(folder: str) -> list[str]:
    return sorted((Path(folder) / "episodes.jsonl").read_text().splitlines())


@pytest.mark.parametrize("verb", STARTED)
def test_the_folder_is_enough(verb: str, run: Run, interrupted: Run) -> None:
    before = json.loads(interrupted(verb).out)
    outcome = run(verb, "--resume", before["folder"])
    assert outcome.status == 0, outcome.error
    assert "Report: " in outcome.out, "--json is not taken over"
    again = json.loads(run(verb, "--resume", before["folder"], "--json").out)
    assert again == before
    assert len(lines_of(before["folder"])) > 1


def test_the_folder_is_enough_in_training(run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("telic.cli.train.load_model", lambda *_: tiny.local("llama"))
    monkeypatch.setattr("telic.planner.training.run_act_curriculum", interrupt)
    travel.write_text(PURPOSE.replace("fake", "smollm2") + GAME)
    assert run("train", "travel.toml", "--episodes", "8", "--no-baselines", "--width", "None").status == 130
    [folder] = [one.path for one in RunFolder.list("runs")]
    outcome = run("train", "--resume", str(folder))
    assert outcome.status == 130, "it came as far as before"
    assert outcome.error.endswith(f"To continue: telic train --resume {folder}\n")


def test_options_in_addition_agree_or_may_be_changed(run: Run, interrupted: Run, travel: Path) -> None:
    folder = json.loads(interrupted("hold", "--no-write").out)["folder"]
    before = travel.read_text()
    again = run("hold", *STARTED["hold"], "--no-write", "--concurrency", "2", "--resume", folder)
    assert again.status == 0, again.error
    assert run("hold", f"--resume={folder}", "--write", "--resamples", "200").status == 0
    assert travel.read_text() == before, "no control is better on a fake model, so nothing is written"
    refused = run("hold", "--resume", folder, "--rounds", "3", "--seed", "7")
    assert refused.status == 1
    assert "measure.rounds: the run has 1, this command 3" in refused.error
    assert "measure.seed: the run has 0, this command 7" in refused.error
    assert "tuning_dialogues" not in refused.error


def test_another_command_is_refused(run: Run, interrupted: Run) -> None:
    folder = json.loads(interrupted("play").out)["folder"]
    outcome = run("measure", "--resume", folder)
    assert outcome.status == 2
    assert f"is a run of 'play'; expected a run of 'measure'. Continue it with: telic play --resume {folder}" in (
        outcome.error
    )


def test_a_run_that_python_started_needs_its_options(run: Run, travel: Path, tmp_path: Path) -> None:
    purpose = Purpose.from_file(travel)
    started = measure(FakeModel(drift=0.1), purpose, rounds=1, dialogues=3, folder=tmp_path / "runs")
    assert started.folder is not None
    assert "arguments" not in RunFolder.open(started.folder).document
    refused = run("measure", "travel.toml", "--resume", str(started.folder))
    assert "measure.rounds: the run has 1, this command 8" in refused.error
    assert (
        run("measure", "travel.toml", "--rounds", "1", "--dialogues", "3", "--resume", str(started.folder)).status == 0
    )
