"""Results of many episodes: success and scores with confidence intervals, faults, and references.

The bootstrap resamples tasks, because the trials of one task share its hidden information. An episode that is invalid
through the fault of the agent counts as a failure. An episode that is invalid through another fault, or in which a
model failed, is excluded and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from telic.episodes import Episode
from telic.errors import ConfigError
from telic.games.base import build_game
from telic.statistics import Interval, bootstrap_clustered, bootstrap_mean, mean, pass_hat_k

__all__ = ["GameResult", "ReferenceScore", "ReferenceScores", "analyse_games"]


class ReferenceScore(BaseModel):
    """Mean scores of a reference player on the same tasks."""

    model_config = ConfigDict(frozen=True)

    score: Interval
    normalised: Interval
    success: Interval


class ReferenceScores(BaseModel):
    """Scores of the scripted players that bound a game's scale."""

    model_config = ConfigDict(frozen=True)

    random: ReferenceScore | None = None
    """Score of the player at the lower end, which plays at random."""
    oracle: ReferenceScore | None = None
    """Score of the player at the upper end, which has access to all information."""


class GameResult(BaseModel):
    """The results of one game."""

    game: str
    agent: str
    """Name of the player of the role under test."""
    partners: dict[str, str]
    """Names of the other players, by role."""
    episodes: int
    valid: int
    faults: dict[str, int]
    """Number of invalid episodes by fault."""
    errors: dict[str, int]
    """Number of episodes that a failure ended, by reason."""
    unjudged: dict[str, int]
    """Number of valid episodes without a judge's verdict, by reason."""
    success: Interval
    score: Interval
    normalised: Interval
    references: ReferenceScores = ReferenceScores()
    human: float | None = None
    """Published mean normalised score of people."""
    pass_hat: dict[int, float] = Field(default_factory=dict)
    """pass^k by k: the probability that k trials of a task all succeed. Empty with a single trial."""
    tasks: int
    trials: int
    rounds: float | None
    """Mean number of acts of the agent per episode."""
    tokens: float | None
    """Mean number of generated tokens per episode."""
    notes: dict[str, int]
    """Replacements of the agent's replies and acts, summed over all episodes."""

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        what = f"{self.agent} plays {self.game}"
        if self.success.value is None:
            return f"{what}: {self.valid} of {self.episodes} episodes are valid, none has a verdict."
        text = f"{what}: success in {100 * self.success.value:.0f} % of {self.success.n} tasks"
        if self.normalised.value is not None:
            text += f", normalised score {self.normalised}"
        return text + "."


def analyse_games(
    episodes: Iterable[Episode], references: Mapping[str, ReferenceScores] | None = None
) -> list[GameResult]:
    """Compute the results of each game.

    Args:
        episodes: the episodes of a run.
        references: scores of the reference players, by game.
    """
    by_game: dict[str, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda episode: episode.id):
        by_game.setdefault(str(episode.metadata.get("game", episode.kind)), []).append(episode)
    return [_result(game, found, (references or {}).get(game, ReferenceScores())) for game, found in by_game.items()]


def _result(game: str, episodes: Sequence[Episode], references: ReferenceScores) -> GameResult:
    role = str(episodes[0].metadata.get("agent", next(iter(episodes[0].roles))))
    played = [episode for episode in episodes if episode.failure is None]
    valid = [episode for episode in played if episode.outcome.get("valid")]
    broken = [episode for episode in played if not episode.outcome.get("valid")]
    acts = [_acts(episode, role) for episode in played]
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
        human=_human_score(episodes[0].kind),
        pass_hat=_pass_hat(successes) if trials > 1 else {},
        tasks=len(successes),
        trials=trials,
        rounds=mean(float(count) for count in acts),
        tokens=mean(float(sum(turn.tokens for turn in episode.turns)) for episode in played),
        notes=dict(notes),
    )


def _human_score(kind: str) -> float | None:
    """Return the published score of people; None if this installation cannot build the game."""
    try:
        return build_game({"name": kind}).references().human
    except ConfigError:
        return None


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
    """Compute pass^k over the tasks with at least k decided trials."""
    decided = [[value for value in values if value is not None] for values in tasks]
    found = {}
    for k in range(1, max(map(len, decided), default=0) + 1):
        shares = [pass_hat_k(len(v), round(sum(v)), k) for v in decided if len(v) >= k]
        found[k] = sum(shares) / len(shares)
    return found
