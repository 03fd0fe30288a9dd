"""The stability curve, its drops since the first round, and the area under it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from telic.episodes import Episode
from telic.stability.scores import NumberedBranch, Scores, numbered_branches, scores_of
from telic.statistics import Interval, PairedDifference, bootstrap_clustered, holm, mean, paired_difference

__all__ = ["ALPHA", "CurvePoint", "Drop", "area_of", "areas_by_id", "curve_of", "drops_of"]

ALPHA = 0.05
"""Level of significance."""


class CurvePoint(BaseModel):
    """Stability after some rounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    stability: float | None
    """Mean over dialogues, in [0, 1]."""
    low: float | None
    """95 % interval."""
    high: float | None
    n: int
    """Dialogues with a score at this round."""
    answers: int
    """Answers that were scored."""
    missing: int
    """Answers that could not be scored."""
    tokens: float | None
    """Tokens that a side had seen when it was probed: mean over probes."""


class Drop(BaseModel):
    """Paired difference to the first round: the same probes of the same dialogues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    difference: float | None
    """Negative where stability fell."""
    low: float | None
    high: float | None
    n: int
    p: float | None
    """Two-sided sign-flip permutation test over dialogues."""
    p_adjusted: float | None
    """The same after Holm's correction over the rounds."""
    significant: bool
    """Whether stability fell: the adjusted p is below 0.05 and the interval lies below zero."""


def curve_of(observed: Sequence[NumberedBranch], resamples: int, seed: int) -> list[CurvePoint]:
    """Compute the mean score at each round, with its interval over dialogues."""
    scores = scores_of(observed)
    points = []
    for round_ in sorted({branch.round for _, branch in observed}):
        dialogues: defaultdict[int, list[float | None]] = defaultdict(list)
        for (dialogue, _, _), rounds in scores.items():
            dialogues[dialogue].append(rounds.get(round_))
        found = bootstrap_clustered(dialogues.values(), resamples=resamples, seed=seed, bounds=(0, 1))
        branches = [branch for _, branch in observed if branch.round == round_]
        answers = [answer for branch in branches for answer in branch.answers]
        scored = sum(answer.score is not None for answer in answers)
        points.append(
            CurvePoint(
                round=round_,
                stability=found.value,
                low=found.low,
                high=found.high,
                n=found.n,
                answers=scored,
                missing=len(answers) - scored + sum(not branch.answers for branch in branches),
                tokens=mean(branch.prompt_tokens for branch in branches),
            )
        )
    return points


def drops_of(scores: Scores, resamples: int, seed: int) -> tuple[list[Drop], int | None]:
    """Compute the drop at each round after the first, and find the first round at which it is significant."""
    rounds = sorted({round_ for found in scores.values() for round_ in found})
    comparisons = [_compare(scores, rounds[0], round_, resamples, seed) for round_ in rounds[1:]]
    adjusted = holm([comparison.p for comparison in comparisons])
    drops = []
    for round_, comparison, p in zip(rounds[1:], comparisons, adjusted, strict=True):
        interval = comparison.difference
        below = interval.high is not None and interval.high < 0
        drops.append(
            Drop(
                round=round_,
                difference=interval.value,
                low=interval.low,
                high=interval.high,
                n=interval.n,
                p=comparison.p,
                p_adjusted=p,
                significant=below and p is not None and p < ALPHA,
            )
        )
    return drops, next((drop.round for drop in drops if drop.significant), None)


def _compare(scores: Scores, start: int, round_: int, resamples: int, seed: int) -> PairedDifference:
    """Compare the scores after `round_` rounds with those at the start, over the probes that have both."""
    now: defaultdict[int, list[float]] = defaultdict(list)
    before: defaultdict[int, list[float]] = defaultdict(list)
    for (dialogue, _, _), found in scores.items():
        if round_ in found and start in found:
            now[dialogue].append(found[round_])
            before[dialogue].append(found[start])
    return paired_difference(
        [mean(found) for found in now.values()],
        [mean(found) for found in before.values()],
        resamples=resamples,
        seed=seed,
        bounds=(-1, 1),
    )


def areas_by_id(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """Compute each dialogue's mean stability over the rounds (trapezoid), on probes with a score in every round."""
    scores = scores_of(numbered_branches(episodes))
    areas = {dialogue: mean(values) for dialogue, values in _areas_by_dialogue(scores).items()}
    return {episode.id: areas.get(i) for i, episode in enumerate(episodes)}


def _areas_by_dialogue(scores: Scores) -> dict[int, list[float | None]]:
    rounds = sorted({round_ for found in scores.values() for round_ in found})
    dialogues: defaultdict[int, list[float | None]] = defaultdict(list)
    for (dialogue, _, _), found in scores.items():
        complete = len(rounds) > 1 and len(found) == len(rounds)
        dialogues[dialogue].append(
            float(np.trapezoid([found[r] for r in rounds], rounds)) / (rounds[-1] - rounds[0]) if complete else None
        )
    return dialogues


def area_of(scores: Scores, resamples: int, seed: int) -> Interval:
    """Compute the mean area under the curve, with its interval over dialogues."""
    return bootstrap_clustered(_areas_by_dialogue(scores).values(), resamples=resamples, seed=seed, bounds=(0, 1))
