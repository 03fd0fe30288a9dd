"""Results: what counts as what, with which uncertainty, and the page that shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telic.agents.model_player import ModelPlayer
from telic.agents.scripted import scripted_player
from telic.episodes import Episode
from telic.errors import Failure
from telic.models.scripted import FakeModel
from telic.rollouts import analyse_games, play
from telic.rollouts.report import references_of, write_play_report
from telic.runs import RunFolder


def episode(task: int, trial: int = 0, failure: Failure | None = None, **outcome: Any) -> Episode:
    return Episode(
        id=f"g-{task:05d}-{trial}",
        kind="g",
        seed=task,
        roles={"agent": {"name": "mia"}, "partner": {"name": "bob"}},
        outcome={"valid": True, **outcome} if failure is None else {},
        failure=failure,
        metadata={"game": "g", "task": task, "trial": trial, "agent": "agent"},
    )


def test_whose_fault_it_was_decides_what_counts() -> None:
    [result] = analyse_games(
        [
            episode(0, score=3.0, normalised=1.0, success=True),
            episode(1, valid=False, fault="agent", reason="no legal act"),
            episode(2, valid=False, fault="partner", reason="no legal act"),
            episode(3, failure=Failure("model", "unreachable", "down\nmore of it")),
            episode(4, score=None, success=None),
        ]
    )
    assert (result.episodes, result.valid) == (5, 2)
    assert result.faults == {"agent": 1, "partner": 1}
    assert result.errors == {"model: down": 1}
    assert (result.success.value, result.success.n, result.success.missing) == (0.5, 2, 3)
    assert (result.score.value, result.score.n, result.score.missing) == (3.0, 1, 4)


def test_repeated_play_gives_pass_hat_k_over_tasks() -> None:
    wins = {0: (1, 1, 1), 1: (1, 0, 1), 2: (0, 0, 0)}
    episodes = [
        episode(task, trial, score=float(won), normalised=float(won), success=bool(won))
        for task, trials in wins.items()
        for trial, won in enumerate(trials)
    ]
    [result] = analyse_games(episodes)
    assert (result.tasks, result.trials) == (3, 3)
    assert result.pass_hat == pytest.approx({1: 5 / 9, 2: (1 + 1 / 3) / 3, 3: 1 / 3})
    assert result.success.n == 3  # the task is the unit, not the trial
    assert result.success.value == pytest.approx(5 / 9)


def test_the_agent_is_the_role_under_test() -> None:
    game = {"name": "redteam", "under_test": "defender"}
    players = {"agent": scripted_player("refuser", "redteam"), "partner": scripted_player("persuader", "redteam")}
    [result] = play(game, players, n=3).results
    assert (result.agent, result.partners) == ("refuser", {"attacker": "persuader"})
    assert result.references.random is None


def test_references_are_played_on_the_same_tasks() -> None:
    [oracle] = play(
        "itinerary", dict.fromkeys(("agent", "partner"), scripted_player("oracle", "itinerary")), n=6
    ).results
    assert oracle.references.oracle is not None
    assert oracle.references.random is not None
    assert oracle.references.oracle.score == oracle.score
    assert (oracle.references.random.normalised.value or 0) < 0.9


def test_the_page_shows_what_was_hidden_and_escapes_what_was_said(tmp_path: Path) -> None:
    class Hostile(FakeModel):
        def _text(self, *_: Any) -> str:
            return "</td><script>alert(1)</script>"

    player = ModelPlayer(Hostile())
    players = {"agent": player, "partner": player}
    run = play(["negotiation", "elicitation"], players, n=3, trials=2, folder=tmp_path)
    assert run.folder is not None
    folder = RunFolder.open(run.folder)
    assert references_of(folder) == {result.game: result.references for result in run.results}
    text = write_play_report(run.folder, run.results, run.episodes, folder.document).read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "Private information" in text
    assert "wishes" in text
    assert "pass^k" in text
    assert "perfect play" in text
