"""How good a planner is: its return on held-out scenarios beside its rivals', and what it did to the language.

What to watch, after Li et al. (arXiv 2406.11978): a self-clone should play like the unsteered model; a planner whose
actions hardly turn from round to round is a constant prefix; an utterance that the unsteered model finds unlikely, or
that repeats itself, was bought too dear.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from telic.agents.model_player import ModelPlayer
from telic.capability.language import distinct
from telic.episodes import Episode
from telic.models.local import LocalModel
from telic.models.request import Continuation
from telic.planner.experience import utterances
from telic.statistics import Interval, PairedDifference, bootstrap_mean, paired_difference

__all__ = ["Behaviour", "Judged", "behaviour", "judge_arms", "returns_by_task"]

SCORED = 120
"""Utterances whose likelihood is looked at."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Behaviour(_Result):
    """How an arm speaks and acts."""

    perplexity: Interval
    """Of its utterances under the unsteered model: geometric mean."""
    distinct2: Interval
    """Share of an episode's pairs of neighbouring words that are different ones."""
    length: Interval
    """Tokens of an utterance."""
    turning: Interval | None = None
    """Cosine of the actions of neighbouring rounds: near 1, the planner is a constant prefix. None without actions."""
    norm: Interval | None = None
    """Length of the actions."""
    acts: list[dict[str, float]] = []
    """By round: how often each dialogue act was the largest, where actions are mixtures of those."""


class Judged(_Result):
    """An arm on the held-out scenarios."""

    name: str
    returns: Interval
    """Mean return of an episode."""
    gain: Interval | None
    """Over the unsteered model, paired by scenario; None for that itself."""
    p: float | None
    """Of the gain: sign-flip test."""
    behaviour: Behaviour


def returns_by_task(episodes: Sequence[Episode]) -> dict[int, float]:
    """What the role under test earned in each task; an episode that broke off is left out."""
    found = {}
    for episode in episodes:
        if episode.failure is None:
            role = str(episode.metadata["agent"])
            found[int(episode.metadata["task"])] = sum(turn.reward.get(role, 0.0) for turn in episode.turns)
    return found


def compare(
    one: Sequence[Episode], other: Sequence[Episode], *, resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """Difference of the returns, `one - other`, paired by task."""
    a, b = returns_by_task(one), returns_by_task(other)
    both = sorted(a.keys() & b.keys())
    return paired_difference([a[task] for task in both], [b[task] for task in both], resamples=resamples, seed=seed)


def judge_arms(
    model: LocalModel,
    played: Mapping[str, tuple[ModelPlayer, Sequence[Episode]]],
    spec: Mapping[str, Any],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Judged]:
    """Judge arms that played the same tasks.

    Args:
        model: the frozen model.
        played: by name, who played and the episodes; the first is the unsteered model.
        spec: the game's table.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    base = next(iter(played.values()))[1]
    judged = []
    for name, (player, episodes) in played.items():
        found = None if episodes is base else compare(episodes, base, resamples=resamples, seed=seed)
        returns = list(returns_by_task(episodes).values())
        judged.append(
            Judged(
                name=name,
                returns=bootstrap_mean(returns, resamples=resamples, seed=seed),
                gain=None if found is None else found.difference,
                p=None if found is None else found.p,
                behaviour=behaviour(model, episodes, spec, player, resamples=resamples, seed=seed),
            )
        )
    return judged


def behaviour(
    model: LocalModel,
    episodes: Sequence[Episode],
    spec: Mapping[str, Any],
    player: ModelPlayer,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Behaviour:
    """How an arm spoke and acted in its episodes."""
    whole = [episode for episode in episodes if episode.failure is None]

    def estimate(values: Sequence[float | None]) -> Interval:
        return bootstrap_mean(values, resamples=resamples, seed=seed)

    turning, norms, acts = _actions(whole)
    return Behaviour(
        perplexity=_exp(estimate(_surprise(model, whole, spec, player))),
        distinct2=estimate([distinct(" ".join(_said(episode)), 2) for episode in whole]),
        length=estimate([float(turn.tokens) for e in whole for turn in e.turns if turn.tokens]),
        turning=estimate(turning) if turning else None,
        norm=estimate(norms) if norms else None,
        acts=acts,
    )


def _exp(found: Interval) -> Interval:
    value, low, high = (None if x is None else math.exp(x) for x in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high)


def _surprise(
    model: LocalModel, episodes: Sequence[Episode], spec: Mapping[str, Any], player: ModelPlayer
) -> list[float | None]:
    """Negative log-likelihood a token of utterances under the unsteered model, each in its own dialogue."""
    said = itertools.chain.from_iterable(utterances(episode, spec, player) for episode in episodes)
    scored = [
        Continuation(example.messages, example.text) for example in itertools.islice(said, SCORED) if example.text
    ]
    return [-score.logprob / score.tokens for score in model.score(scored)] if scored else []


def _said(episode: Episode) -> list[str]:
    role = episode.metadata["agent"]
    return [turn.text for turn in episode.turns if turn.role == role and turn.finish != "given"]


def _actions(episodes: Sequence[Episode]) -> tuple[list[float], list[float], list[dict[str, float]]]:
    """Cosines of neighbouring actions (mean of each episode), lengths, and the shares of acts by round."""
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
