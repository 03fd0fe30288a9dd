"""Games in little time: all trials of a task or none, the references on the same tasks, resumed as usual."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telic.agents.model_player import ModelPlayer
from telic.errors import ConfigError
from telic.progress import Deadline, ProgressReport
from telic.rollouts import PlayerFactory, PlayRun, play
from telic.rollouts.ray_workers import RayWorkers
from telic.run_summary import summarise_run
from telic.runs import RunFolder
from tests.timed import Clock, SlowFake

GAMES: list[Any] = [{"name": "elicitation", "rounds": 3}, {"name": "elicitation", "rounds": 2}]


def timed(minutes: float | None, **options: Any) -> PlayRun:
    """Play two games with a model that spends a second on each reply; a task with two trials takes half a minute."""
    clock = Clock()
    players = {"agent": ModelPlayer(SlowFake(clock, 1.0))}
    return play(GAMES, players, n=20, trials=2, minutes=Deadline(minutes, clock), **options)


@pytest.mark.parametrize("minutes", [0.1, 2, 3])
def test_all_trials_of_a_task_are_played_or_none(minutes: float) -> None:
    run = timed(minutes)
    tasks = Counter(int(episode.metadata["task"]) for episode in run.episodes)
    assert set(tasks.values()) == {4}, "two trials of two games"
    assert sorted(tasks) == list(range(len(tasks)))
    assert (1 if minutes < 1 else 3) <= len(tasks) < 20
    assert str(run.shortfall) == f"--minutes {minutes:g}: finished {4 * len(tasks)} of 80 episodes"
    for result in run.results:
        assert result.tasks == len(tasks)
        assert result.references.oracle is not None
        assert result.references.oracle.score.n == len(tasks), "the references play the same tasks"


def test_a_resumed_run_plays_the_rest(tmp_path: Path) -> None:
    cut, whole = timed(2, folder=tmp_path), timed(None)
    assert cut.folder is not None
    assert summarise_run(RunFolder.open(cut.folder)).shortfall == cut.shortfall is not None
    told: list[ProgressReport] = []
    again = timed(None, resume=cut.folder, progress=told.append)
    assert again.shortfall is whole.shortfall is None
    assert summarise_run(RunFolder.open(cut.folder)).shortfall is None
    assert again.episodes == whole.episodes
    assert again.results == whole.results
    assert told[-1].total == 80 - len(cut.episodes)
    assert (told[-1].phase, told[-1].unit, told[-1].done) == ("playing", "episodes", told[-1].total)


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(minutes: float) -> None:
    with pytest.raises(ConfigError, match=r"minutes is .*; expected a number greater than 0"):
        play("elicitation", {"agent": ModelPlayer(SlowFake(Clock(), 1.0))}, minutes=minutes)


def test_workers_know_no_limit() -> None:
    factory = PlayerFactory(lambda: {"agent": ModelPlayer(SlowFake(Clock(), 1.0))}, {})
    with pytest.raises(ConfigError, match="minutes cannot be combined with workers; play fewer tasks"):
        play("elicitation", factory, workers=RayWorkers("local"), minutes=1)
