"""`telic train`: mistakes are found before anything is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telic.models import load
from telic.runs import versions
from tests.cli.conftest import Run
from tests.models import tiny

GAME = 'name = "travel"\nsystem = "Ask first."\n\n[game]\nname = "elicitation"\n'


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "telic.cli.train.load_model", lambda source, *_: load(source) if source == "fake" else tiny.local("llama")
    )


@pytest.fixture
def travel(tmp_path: Path) -> Path:
    path = tmp_path / "travel.toml"
    path.write_text(GAME)
    return path


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--model", "fake"), 1, "does not run in this process"),
        (("--acts", "nowhere.toml"), 1, "expected a TOML file, or one of general"),
        (("--episodes", "1"), 2, "--episodes is 1"),
        (("--mapping", "guessed"), 2, "invalid choice 'guessed'"),
        (("--resume", "no-such-run"), 1, "no-such-run"),
        (("--writer", "fake"), 2, "--writer is for the game 'issue'; the game of 'travel' is 'elicitation'"),
    ],
)
def test_mistakes_are_reported_before_anything_is_played(
    run: Run, travel: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    outcome = run("train", str(travel), "--runs", str(travel.parent / "runs"), *arguments)
    assert outcome.status == status
    assert said in outcome.error
    assert "Traceback" not in outcome.error
    assert not (travel.parent / "runs").exists()


@pytest.mark.parametrize("writer", [(), ("--writer", "fake")])
def test_in_the_game_of_issues_somebody_writes_the_patches(
    run: Run, tmp_path: Path, writer: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def interrupted(*_: object, **options: Any) -> None:
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("telic.planner.training.train", interrupted)
    path = tmp_path / "asker.toml"
    path.write_text('name = "asker"\nsystem = "Ask."\n\n[game]\nname = "issue"\n')
    assert run("train", str(path), *writer).status == 130
    spec = seen["players"].spec()
    assert spec["pair"] == (writer[-1] if writer else tiny.local("llama").name)
    assert spec["config"]["ask"] == "never"


def test_a_resumed_run_says_what_changed(run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("telic.planner.training.run_act_curriculum", interrupted)
    runs = travel.parent / "runs"
    assert run("train", str(travel), "--runs", str(runs)).status == 130
    [folder] = runs.iterdir()
    config = folder / "config.toml"
    config.write_text(config.read_text().replace(f'python = "{versions()["python"]}"', 'python = "3.0.0"'))
    outcome = run("train", str(travel), "--resume", str(folder))
    assert f"Run folder {folder}" in outcome.error
    assert "resumed with other versions: python was 3.0.0" in outcome.error
    assert f"To continue: telic train --resume {folder}" in outcome.error


def test_a_purpose_without_a_game_says_what_to_add(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text('name = "plain"\nsystem = "Be kind."\n')
    outcome = run("train", str(path))
    assert outcome.status == 1
    assert "[game]" in outcome.error
