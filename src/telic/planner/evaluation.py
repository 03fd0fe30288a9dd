"""Evaluation of a planner: its return on held-out scenarios beside its rivals', and its effect on the language.

What to look for, after Li et al. (arXiv 2406.11978): a self-clone should play like the baseline. A planner whose
actions hardly change from round to round is a constant prefix. Where utterances become unlikely under the baseline
model or repeat themselves, the planner pays for its return with the quality of the language.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from telic.agents.model_player import ModelPlayer
from telic.capability.language import distinct
from telic.episodes import Episode
from telic.models.local import LocalModel
from telic.models.request import Continuation
from telic.planner.experience import utterance_examples
from telic.statistics import Interval, PairedDifference, bootstrap_mean, paired_difference

__all__ = [
    "ArmBehaviour",
    "PlannerArmResult",
    "compare_returns",
    "evaluate_planner_arms",
    "measure_behaviour",
    "returns_by_task",
]

SCORED = 120
"""Maximum number of utterances whose likelihood is computed."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmBehaviour(_Result):
    """Statistics of what an arm said, and of its actions."""

    perplexity: Interval
    """Perplexity of its utterances under the baseline model: geometric mean."""
    distinct2: Interval
    """Share of distinct pairs of neighbouring words in an episode (distinct-2)."""
    length: Interval
    """Tokens per utterance."""
    turning: Interval | None = None
    """Cosine of the actions of neighbouring rounds; near 1 for a constant prefix. None without actions."""
    norm: Interval | None = None
    """Euclidean norm of the actions. None without actions."""
    acts: list[dict[str, float]] = []
    """For each round, the share of turns in which each dialogue act was the largest in a mixture of acts."""


class PlannerArmResult(_Result):
    """Result of an arm on the held-out scenarios."""

    name: str
    returns: Interval
    """Mean return of an episode."""
    gain: Interval | None
    """Difference to the baseline's return, paired by scenario; None for the baseline itself."""
    p: float | None
    """p-value of the gain, by a sign-flip test."""
    behaviour: ArmBehaviour


def returns_by_task(episodes: Sequence[Episode]) -> dict[int, float]:
    """Sum the rewards of the role under test in each task. Failed episodes are left out."""
    found = {}
    for episode in episodes:
        if episode.failure is None:
            role = str(episode.metadata["agent"])
            found[int(episode.metadata["task"])] = sum(turn.reward.get(role, 0.0) for turn in episode.turns)
    return found


def compare_returns(
    one: Sequence[Episode], other: Sequence[Episode], *, resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """Compute the difference of the returns, `one - other`, paired by task."""
    a, b = returns_by_task(one), returns_by_task(other)
    both = sorted(a.keys() & b.keys())
    return paired_difference([a[task] for task in both], [b[task] for task in both], resamples=resamples, seed=seed)


def evaluate_planner_arms(
    model: LocalModel,
    played: Mapping[str, tuple[ModelPlayer, Sequence[Episode]]],
    spec: Mapping[str, Any],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> list[PlannerArmResult]:
    """Evaluate arms that played the same tasks.

    Args:
        model: the frozen model.
        played: for each arm, its player and its episodes; the first is the baseline.
        spec: the game's table.
        resamples: bootstrap resamples.
        seed: seed of the resampling.
    """
    base = next(iter(played.values()))[1]
    results = []
    for name, (player, episodes) in played.items():
        found = None if episodes is base else compare_returns(episodes, base, resamples=resamples, seed=seed)
        returns = list(returns_by_task(episodes).values())
        results.append(
            PlannerArmResult(
                name=name,
                returns=bootstrap_mean(returns, resamples=resamples, seed=seed),
                gain=None if found is None else found.difference,
                p=None if found is None else found.p,
                behaviour=measure_behaviour(model, episodes, spec, player, resamples=resamples, seed=seed),
            )
        )
    return results


def measure_behaviour(
    model: LocalModel,
    episodes: Sequence[Episode],
    spec: Mapping[str, Any],
    player: ModelPlayer,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> ArmBehaviour:
    """Compute the statistics of what an arm said in its episodes, and of its actions."""
    whole = [episode for episode in episodes if episode.failure is None]

    def estimate(values: Sequence[float | None]) -> Interval:
        return bootstrap_mean(values, resamples=resamples, seed=seed)

    turning, norms, acts = _actions(whole)
    return ArmBehaviour(
        perplexity=estimate(_losses(model, whole, spec, player)).exp(),
        distinct2=estimate([distinct(" ".join(_utterances(episode)), 2) for episode in whole]),
        length=estimate([float(turn.tokens) for e in whole for turn in e.turns if turn.tokens]),
        turning=estimate(turning) if turning else None,
        norm=estimate(norms) if norms else None,
        acts=acts,
    )


def _losses(
    model: LocalModel, episodes: Sequence[Episode], spec: Mapping[str, Any], player: ModelPlayer
) -> list[float | None]:
    """Compute the negative log-likelihood per token of utterances under the baseline model, each in its dialogue."""
    examples = itertools.chain.from_iterable(utterance_examples(episode, spec, player) for episode in episodes)
    scored = [
        Continuation(example.messages, example.text) for example in itertools.islice(examples, SCORED) if example.text
    ]
    return [-score.logprob / score.tokens for score in model.score(scored)] if scored else []


def _utterances(episode: Episode) -> list[str]:
    role = episode.metadata["agent"]
    return [turn.text for turn in episode.turns if turn.role == role and turn.finish != "given"]


def _actions(episodes: Sequence[Episode]) -> tuple[list[float], list[float], list[dict[str, float]]]:
    """Collect the mean cosine of neighbouring actions in each episode, the norms, and the shares of acts by round."""
    turning, norms = [], []
    named: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for episode in episodes:
        steered = [turn for turn in episode.turns if "action" in turn.readings]
        actions = [np.asarray(turn.readings["action"]) for turn in steered]
        lengths = [float(np.linalg.norm(action)) for action in actions]
        norms += lengths
        cosines = [
            float(a @ b / (x * y))
            for (a, x), (b, y) in itertools.pairwise(zip(actions, lengths, strict=True))
            if x and y
        ]
        turning += [sum(cosines) / len(cosines)] if cosines else []
        for place, turn in enumerate(steered):
            if "act" in turn.readings:
                named[place][str(turn.readings["act"])] += 1
    shares = [
        {act: count / named[place].total() for act, count in named[place].most_common()} for place in sorted(named)
    ]
    return turning, norms, shares
