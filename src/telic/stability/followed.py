"""The stability curve over the probes that the model follows before the dialogue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from telic.episodes import Answer, Branch, Episode
from telic.stability.curves import CurvePoint, Drop, curve_of, drops_of
from telic.stability.scores import NumberedBranch, ProbeKey, scores_of
from telic.statistics import mean

__all__ = ["FollowedCurve", "NoFollowedCurve", "followed_curve"]

FOLLOWED = 0.5
"""Mean score at round 0 from which on a probe counts as followed."""

SelectionMethod = Literal["answers", "dialogues"]
METHODS: dict[SelectionMethod, str] = {
    "answers": "every other answer at round 0 chooses, the rest is plotted",
    "dialogues": "each half of the dialogues with the same probe chooses for the other",
}
"""How followed probes are chosen, as reports say it."""


class FollowedCurve(BaseModel):
    """The curve over the probes that the model follows before the dialogue.

    A probe that is not followed cannot drift. Probes are chosen by other answers than those plotted: a choice by the
    plotted ones would make a drop out of noise (regression to the mean).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: list[CurvePoint]
    drops: list[Drop]
    drift_round: int | None
    chosen: int
    """Probes of dialogues that are followed."""
    candidates: int
    """Probes of dialogues for which this could be decided."""
    method: str
    """By which answers the probes were chosen."""


@dataclass(frozen=True, slots=True)
class NoFollowedCurve:
    """The absence of a curve over the followed probes."""

    reason: str


def followed_curve(
    observed: Sequence[NumberedBranch], episodes: Sequence[Episode], resamples: int, seed: int
) -> FollowedCurve | NoFollowedCurve:
    """Compute the curve over the probes followed at round 0, or say why there is none."""
    start = [(i, branch) for i, branch in observed if branch.round == 0]
    if not start:
        return NoFollowedCurve("no probe was asked at round 0")
    others = _other_half(start, episodes)
    chosen: dict[ProbeKey, list[Answer]] = {}
    methods: Counter[SelectionMethod | None] = Counter()
    for dialogue, branch in start:
        method, selected, plotted = _select(branch, others[dialogue, branch.role, branch.probe])
        methods[method] += 1
        if selected:
            chosen[dialogue, branch.role, branch.probe] = plotted
    candidates = methods.total() - methods[None]
    if not candidates:
        return NoFollowedCurve(
            "one answer per probe at round 0, and no other dialogue with the same probe: nothing is left to choose "
            "by. Ask for at least two samples at round 0"
        )
    if not chosen:
        return NoFollowedCurve(f"none of {candidates} probes was followed at round 0")
    kept = []
    for dialogue, branch in observed:
        key = (dialogue, branch.role, branch.probe)
        if key in chosen:
            answers = chosen[key] if branch.round == 0 else branch.answers
            kept.append((dialogue, branch.model_copy(update={"answers": answers})))
    drops, drift_round = drops_of(scores_of(kept), resamples, seed)
    return FollowedCurve(
        curve=curve_of(kept, resamples, seed),
        drops=drops,
        drift_round=drift_round,
        chosen=len(chosen),
        candidates=candidates,
        method="; ".join(sorted(METHODS[method] for method in methods if method is not None)),
    )


def _select(branch: Branch, others: float | None) -> tuple[SelectionMethod | None, bool, list[Answer]]:
    """Decide whether a probe is followed at round 0.

    Returns:
        How it was decided (None if it could not be), whether the probe is followed, the answers left to plot.
    """
    even, odd = branch.answers[0::2], branch.answers[1::2]
    score = mean(answer.score for answer in even)
    if odd and score is not None:
        return "answers", score >= FOLLOWED, odd
    if others is None:
        return None, False, []
    return "dialogues", others >= FOLLOWED, branch.answers


def _other_half(start: Sequence[NumberedBranch], episodes: Sequence[Episode]) -> dict[ProbeKey, float | None]:
    """Average each probe at round 0 over the half of the dialogues that its own dialogue is not in.

    Halves instead of all other dialogues: leaving a probe's own score out of a mean over all moves that mean the other
    way, so that near the threshold exactly the probes that failed would be chosen.
    """
    # Probes are the same if all that the model reads is: system prompt, probe, question.
    same: defaultdict[tuple[object, str, str], list[NumberedBranch]] = defaultdict(list)
    for dialogue, branch in start:
        system = episodes[dialogue].roles.get(branch.role, {}).get("system")
        same[system, branch.probe, branch.question].append((dialogue, branch))
    found: dict[ProbeKey, float | None] = {}
    for observed in same.values():
        half = {dialogue: rank % 2 for rank, dialogue in enumerate(dict.fromkeys(i for i, _ in observed))}
        scores: tuple[list[float | None], list[float | None]] = ([], [])
        for dialogue, branch in observed:
            scores[half[dialogue]].extend(answer.score for answer in branch.answers)
        means = [mean(values) for values in scores]
        for dialogue, branch in observed:
            found[dialogue, branch.role, branch.probe] = means[1 - half[dialogue]]
    return found
