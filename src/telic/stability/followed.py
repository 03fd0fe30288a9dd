"""What the model follows before the dialogue: each probe at round 0, and the curve over the followed ones."""

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

__all__ = [
    "FOLLOWED",
    "FollowedCurve",
    "NoFollowedCurve",
    "ProbeStart",
    "followed_curve",
    "never_followed",
    "probe_starts",
    "without_never_followed",
]

FOLLOWED = 0.5
"""Mean score at round 0 from which on a probe counts as followed."""

SelectionMethod = Literal["answers", "dialogues"]
METHODS: dict[SelectionMethod, str] = {
    "answers": "every other answer at round 0 chooses, the rest is plotted",
    "dialogues": "each half of the dialogues with the same probe chooses for the other",
}
"""How followed probes are chosen, as reports say it."""


SHOWN = 5
"""Probes that a sentence names; it counts the others."""


class ProbeStart(BaseModel):
    """How often the model follows a probe before the dialogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probe: str
    side: str
    """Name of the side that is asked."""
    family: str
    followed: int
    """Answers at round 0 that follow the instruction."""
    answers: int
    """Answers at round 0 that were scored."""

    @property
    def never(self) -> bool:
        """Whether no answer follows it, so that it cannot drift."""
        return not self.followed and self.answers > 0


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


def probe_starts(episodes: Sequence[Episode]) -> list[ProbeStart]:
    """Count how often each probe is followed at round 0, over all dialogues; in the order in which they are asked."""
    scores: dict[tuple[str, str, str], list[float]] = {}
    for episode in episodes:
        for branch in episode.branches:
            if branch.round == 0:
                found = scores.setdefault((_side_of(episode, branch), branch.probe, branch.family), [])
                found.extend(answer.score for answer in branch.answers if answer.score is not None)
    return [
        ProbeStart(
            probe=probe,
            side=side,
            family=family,
            followed=sum(score >= FOLLOWED for score in found),
            answers=len(found),
        )
        for (side, probe, family), found in scores.items()
    ]


def never_followed(starts: Sequence[ProbeStart]) -> str | None:
    """Name the probes that the model never follows before the dialogue, in one sentence; None if there are none."""
    never = [start for start in starts if start.never]
    if not never:
        return None
    answers = f"(0 of {sum(start.answers for start in never)} answers before the dialogue)"
    names = [repr(start.probe) for start in never]
    if len(never) == len(starts) > 1:
        return f"the model never followed any of the {len(never)} probes {answers}, so there is nothing to drift from"
    if len(names) == 1:
        return f"the model never followed probe {names[0]} {answers}, so it cannot drift from it"
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return (
        f"the model never followed {len(names)} of {len(starts)} probes, {listed} {answers}: it cannot drift from them"
    )


def without_never_followed(episodes: Sequence[Episode], starts: Sequence[ProbeStart]) -> list[Episode]:
    """Leave out the branches of the probes that are never followed."""
    never = {(start.side, start.probe) for start in starts if start.never}
    return [
        episode.model_copy(
            update={"branches": [b for b in episode.branches if (_side_of(episode, b), b.probe) not in never]}
        )
        for episode in episodes
    ]


def _side_of(episode: Episode, branch: Branch) -> str:
    return str(episode.roles.get(branch.role, {}).get("name", branch.role))


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
