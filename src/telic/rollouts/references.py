"""The scores of the scripted players that bound a game's scale, on the tasks of a run."""

from __future__ import annotations

from collections.abc import Sequence

from telic.agents.scripted import scripted_player
from telic.episodes import Episode
from telic.games.base import Game, build_game
from telic.rollouts.driver import drive
from telic.rollouts.record import Task, play_episode
from telic.rollouts.results import ReferenceScore, ReferenceScores, analyse_games

__all__ = ["reference_scores"]


def reference_scores(tasks: Sequence[Task]) -> ReferenceScores:
    """Play the scripted players that bound a game's scale.

    Args:
        tasks: tasks of one game.

    Returns:
        Their scores; empty for a game whose scale no script bounds, because its score depends on the opponent or on
        a judge.
    """
    if not tasks:
        return ReferenceScores()
    game = build_game(tasks[0].spec)
    bounds = game.references()
    return ReferenceScores(
        random=_score(game, bounds.lower, bounds.partner, tasks),
        oracle=_score(game, bounds.upper, bounds.partner, tasks),
    )


def _score(game: Game, name: str | None, partner: str | None, tasks: Sequence[Task]) -> ReferenceScore | None:
    if name is None:
        return None
    players = {"agent": scripted_player(name, game.name), "partner": scripted_player(partner or name, game.name)}
    episodes: list[Episode] = []
    # One episode after the other, so that all can use the same game object.
    drive((play_episode(task, game, players, None) for task in tasks), (), concurrency=1, on_episode=episodes.append)
    [result] = analyse_games(episodes)
    if result.score.value is None:
        return None
    return ReferenceScore(score=result.score, normalised=result.normalised, success=result.success)
