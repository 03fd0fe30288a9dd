"""What defences cost the purpose's game: does the chatbot still do its job behind them?"""

from __future__ import annotations

from collections.abc import Callable

from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.episodes import Episode
from telic.models import Model
from telic.progress import Deadline
from telic.purpose import Purpose
from telic.redteam.plan import DefenceArm
from telic.rollouts import play

__all__ = ["play_purpose_games"]


def play_purpose_games(
    model: Model,
    purpose: Purpose,
    arm: DefenceArm,
    n: int,
    seed: int,
    concurrency: int,
    deadline: Deadline,
    on_episode: Callable[[Episode], None],
    partner: Model | None = None,
) -> dict[int, float | None]:
    """Play the purpose's game behind the defences of an arm; `partner` plays the other side, by default the model.

    Returns:
        For each game that was played, its score: normalised where the game has a scale; 0 for a game that the chatbot
        made invalid; None for one that failed otherwise.
    """
    assert purpose.game is not None
    defended = purpose.model_copy(update={"defences": [dict(spec) for spec in arm.specs]})
    players: dict[str, Player] = {"agent": ModelPlayer(model, defended), "partner": ModelPlayer(partner or model)}
    run = play(
        purpose.game, players, n, seed, references=False, concurrency=concurrency, minutes=deadline,
        on_episode=on_episode,
    )  # fmt: skip
    return {int(episode.metadata["task"]): _score(episode) for episode in run.episodes}


def _score(episode: Episode) -> float | None:
    outcome = episode.outcome
    if episode.failure is not None:
        return None
    if not outcome.get("valid"):
        return 0.0 if outcome.get("fault") == "agent" else None
    value = outcome.get("normalised", outcome.get("score"))
    return None if value is None else float(value)
