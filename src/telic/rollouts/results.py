"""What came of many episodes: success, scores with their uncertainty, whose fault it was, how far it is from the ends.

The task is the unit that is resampled: the trials of one task share its hidden information. An episode that the agent
broke counts as a failure; one that somebody else broke, or in which a model failed, is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from telic.agents.scripted import scripted_names, scripted_player
from telic.episodes import Episode
from telic.games.base import build
from telic.rollouts.driver import drive
from telic.rollouts.record import Task, play_episode
from telic.statistics import Interval, bootstrap_clustered, bootstrap_mean, mean, pass_hat_k

__all__ = ["HUMANS", "GameResult", "Line", "References", "analyse", "reference_lines"]

HUMANS = {"assignment": (0.921, 134), "itinerary": (0.886, 113), "mediation": (0.970, 162)}
"""Mean normalised score of people, and the number of games (Lin et al., arXiv 2305.20076, recorded games)."""
PARTNERS = {"negotiation": "concession"}
"""Whom the scripted agents play against, where one of their own kind would not do."""


class Line(BaseModel):
    """How well somebody else plays the same tasks."""

    model_config = ConfigDict(frozen=True)

    score: Interval
    normalised: Interval
    success: Interval


class References(BaseModel):
    """The ends of a game's scale."""

    model_config = ConfigDict(frozen=True)

    random: Line | None = None
    """The scripted player that plays by chance."""
    oracle: Line | None = None
    """The scripted player that knows everything."""


class GameResult(BaseModel):
    """What came of one game."""

    game: str
    agent: str
    """Who played the role under test."""
    partners: dict[str, str]
    """Who played the others, by role."""
    episodes: int
    valid: int
    faults: dict[str, int]
    """Invalid episodes by whose fault it was."""
    errors: dict[str, int]
    """Episodes that broke off, by the reason."""
    unjudged: dict[str, int]
    """Valid episodes that lack a judge's verdict, by the reason."""
    success: Interval
    score: Interval
    normalised: Interval
    references: References = References()
    human: float | None = None
    """Published mean normalised score of people."""
    pass_hat: dict[int, float] = Field(default_factory=dict)
    """pass^k by k: the chance that k trials of a task all succeed. With two or more trials."""
    tasks: int
    trials: int
    rounds: float | None
    """Mean number of the agent's acts."""
    tokens: float | None
    """Mean tokens that models generated in an episode."""
    notes: dict[str, int]
    """How the agent's model had to be helped: counts over all episodes."""


def analyse(episodes: Iterable[Episode], references: Mapping[str, References] | None = None) -> list[GameResult]:
    """The results of episodes that were played, for each game."""
    by_game: dict[str, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda episode: episode.id):
        by_game.setdefault(str(episode.metadata.get("game", episode.kind)), []).append(episode)
    return [_result(game, found, (references or {}).get(game, References())) for game, found in by_game.items()]


def reference_lines(tasks: Sequence[Task]) -> References:
    """Play the scripted players on tasks of one game.

    A game without an oracle has no such lines: what it pays depends on whom one plays against, or on a judge.
    """
    game = str(tasks[0].spec["name"]) if tasks else ""
    if "oracle" not in scripted_names(game):
        return References()
    return References(random=_line(game, "random", tasks), oracle=_line(game, "oracle", tasks))


def _line(game: str, name: str, tasks: Sequence[Task]) -> Line | None:
    players = {"agent": scripted_player(name, game), "partner": scripted_player(PARTNERS.get(game, name), game)}
    table = build(tasks[0].spec)
    episodes: list[Episode] = []
    played = (play_episode(task, table, players, None) for task in tasks)  # one after the other: one table will do
    drive(played, (), concurrency=1, on_episode=episodes.append)
    result = _result(game, episodes, References())
    if result.score.value is None:
        return None
    return Line(score=result.score, normalised=result.normalised, success=result.success)


def _result(game: str, episodes: Sequence[Episode], references: References) -> GameResult:
    role = str(episodes[0].metadata.get("agent", next(iter(episodes[0].roles))))
    played = [episode for episode in episodes if episode.failure is None]
    valid = [episode for episode in played if episode.outcome.get("valid")]
    broken = [episode for episode in played if not episode.outcome.get("valid")]
    kind, acts = episodes[0].kind, [_acts(episode, role) for episode in played]
    successes = _by_task(episodes, _success)
    trials = max(len(values) for values in successes)
    notes: Counter[str] = Counter()
    for episode in episodes:
        notes.update(episode.metadata.get("notes", {}).get(role, {}))
    names = {name: str(who.get("name", "")) for name, who in episodes[0].roles.items() if name != "game"}
    return GameResult(
        game=game,
        agent=names.pop(role, ""),
        partners=names,
        episodes=len(episodes),
        valid=len(valid),
        faults=dict(Counter(str(episode.outcome.get("fault")) for episode in broken)),
        errors=dict(Counter(episode.failure.reason for episode in episodes if episode.failure)),
        unjudged=dict(Counter(str(e.metadata["unjudged"]) for e in valid if "unjudged" in e.metadata)),
        success=_mean(successes, bounds=(0, 1)),
        score=_mean(_by_task(episodes, lambda e: _number(e, "score"))),
        normalised=_mean(_by_task(episodes, lambda e: _number(e, "normalised")), bounds=(0, 1)),
        references=references,
        human=HUMANS[kind][0] if kind in HUMANS else None,
        pass_hat=_pass_hat(successes) if trials > 1 else {},
        tasks=len(successes),
        trials=trials,
        rounds=mean(float(count) for count in acts),
        tokens=mean(float(sum(turn.tokens for turn in episode.turns)) for episode in played),
        notes=dict(notes),
    )


def _acts(episode: Episode, role: str) -> int:
    return sum(turn.role == role and turn.finish != "given" for turn in episode.turns)


def _success(episode: Episode) -> float | None:
    if episode.failure is None and episode.outcome.get("fault") == "agent":
        return 0.0
    success = episode.outcome.get("success") if episode.outcome.get("valid") else None
    return None if success is None else float(success)


def _number(episode: Episode, key: str) -> float | None:
    value: Any = episode.outcome.get(key) if episode.outcome.get("valid") else None
    return None if value is None else float(value)


def _by_task(episodes: Iterable[Episode], value: Any) -> list[list[float | None]]:
    tasks: dict[int, list[float | None]] = {}
    for episode in episodes:
        tasks.setdefault(int(episode.metadata.get("task", len(tasks))), []).append(value(episode))
    return list(tasks.values())


def _mean(tasks: Sequence[Sequence[float | None]], bounds: tuple[float, float] | None = None) -> Interval:
    if all(len(values) == 1 for values in tasks):
        return bootstrap_mean([values[0] for values in tasks], bounds=bounds)
    found = bootstrap_clustered(tasks, bounds=bounds)
    return replace(found, missing=sum(value is None for values in tasks for value in values))


def _pass_hat(tasks: Sequence[Sequence[float | None]]) -> dict[int, float]:
    """pass^k, over the tasks of which at least k trials have a verdict."""
    decided = [[value for value in values if value is not None] for values in tasks]
    found = {}
    for k in range(1, max(map(len, decided), default=0) + 1):
        shares = [pass_hat_k(len(v), round(sum(v)), k) for v in decided if len(v) >= k]
        found[k] = sum(shares) / len(shares)
    return found
