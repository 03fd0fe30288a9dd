"""What a stability measurement found: the curve over rounds, where it drifts, and by how much.

The dialogue is the unit. A dialogue's score at a round is the mean over its probes (of both sides) of the mean over
the answers; intervals resample dialogues; drops compare a dialogue with itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from telic.episodes import Episode
from telic.errors import DataError
from telic.stability.curves import CurvePoint, Drop, area_of, curve_of, drops_of
from telic.stability.decay import Correlation, Decay, attention_decay, correlate
from telic.stability.demands import curves_by_demand
from telic.stability.followed import (
    FOLLOWED,
    FollowedCurve,
    NoFollowedCurve,
    ProbeStart,
    followed_curve,
    never_followed,
    probe_starts,
)
from telic.stability.headline import TOO_FEW, drift_sentence
from telic.stability.scores import Scores, numbered_branches, scores_by_side, scores_of
from telic.statistics import Interval

__all__ = ["AnalysisCounts", "Stability", "analyse_stability"]


class AnalysisCounts(BaseModel):
    """Sizes of the data behind an analysis, and what is missing from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episodes: int
    probed: int
    """Episodes with at least one score."""
    answers: int
    errors: dict[str, int]
    """Episodes that failed, by reason."""
    overflows: int
    """Episodes in which the model's context was full."""
    missing: dict[str, int]
    """Answers without a score, by reason."""
    incomplete: int
    """Probes of dialogues that lack a score at some round."""


class Stability(BaseModel):
    """Instruction stability over the rounds of a dialogue. Intervals are 95 % bootstrap intervals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: list[CurvePoint]
    drops: list[Drop]
    drift_round: int | None
    """First round with a significant drop."""
    area: Interval
    """Area under the curve over its rounds, divided by their number: over the dialogues with all rounds."""
    families: dict[str, list[CurvePoint]]
    """The curve by kind of instruction."""
    demands: dict[str, list[CurvePoint]] = Field(default_factory=dict)
    """The curve by what the instruction demands of a reply, for banks that say so."""
    starts: list[ProbeStart] = Field(default_factory=list)
    """Each probe before the dialogue: a probe that is never followed there cannot drift."""
    followed: FollowedCurve | None
    attention: list[Decay]
    """Attention to the system prompt, by role; empty where it was not read."""
    correlation: Correlation | None
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why a part is absent, by its name."""
    counts: AnalysisCounts
    resamples: int
    seed: int

    @property
    def never_followed(self) -> str | None:
        """A sentence that names the probes that the model never follows before the dialogue; None if there are none."""
        return never_followed(self.starts)

    @property
    def drift(self) -> str | None:
        """Whether stability fell, in one sentence; None where no probe was ever followed: nothing could fall."""
        scored = sum(start.answers for start in self.starts)
        followed = sum(start.followed for start in self.starts)
        if self.drift_round is None and scored and not followed:
            return None
        if self.drift_round is None and self.followed is None and followed < FOLLOWED * scored:
            found = f"only {followed} of {scored} answers"
            return f"{found} before the dialogue follow what they are asked about, so there is little to drift from"
        text = drift_sentence(self.drops, self.drift_round)
        if self.never_followed is None or self.followed is None:
            return text
        if text.startswith(TOO_FEW):  # then there are too few for a part of the probes, too
            return text
        rest = drift_sentence(self.followed.drops, self.followed.drift_round)
        return f"over all {len(self.starts)} probes: {text}; over those followed before the dialogue: {rest}"

    @property
    def headline(self) -> str:
        """The finding in one sentence: first which probes were never followed, then the drift."""
        return "; ".join(part for part in (self.never_followed, self.drift) if part)


def analyse_stability(episodes: Iterable[Episode], *, resamples: int = 2000, seed: int = 0) -> Stability:
    """Analyse self-chats, or any other episodes with branches.

    Args:
        episodes: as recorded; incomplete ones count as far as they go.
        resamples: bootstrap resamples of each interval.
        seed: of the resampling; the result depends on nothing else.

    Raises:
        DataError: there are no episodes.
    """
    played = list(episodes)
    if not played:
        raise DataError("there are no episodes to analyse; play some first")
    observed = numbered_branches(played)
    scores = scores_of(observed)
    drops, drift_round = drops_of(scores, resamples, seed)
    area = area_of(scores, resamples, seed)
    followed = followed_curve(observed, played, resamples, seed)
    attention = attention_decay(played, resamples=resamples, seed=seed)
    correlation = correlate(played, scores_by_side(scores), resamples=resamples, seed=seed)
    families = sorted({branch.family for _, branch in observed})
    return Stability(
        curve=curve_of(observed, resamples, seed),
        drops=drops,
        drift_round=drift_round,
        area=area,
        families={
            family: curve_of([seen for seen in observed if seen[1].family == family], resamples, seed)
            for family in families
        },
        demands=curves_by_demand(played, resamples, seed),
        starts=probe_starts(played),
        followed=followed if isinstance(followed, FollowedCurve) else None,
        attention=attention,
        correlation=correlation,
        reasons=_reasons(area, followed, attention, correlation),
        counts=_counts(played, scores),
        resamples=resamples,
        seed=seed,
    )


def _reasons(
    area: Interval,
    followed: FollowedCurve | NoFollowedCurve,
    attention: Sequence[Decay],
    correlation: Correlation | None,
) -> dict[str, str]:
    """Say why parts of the analysis are absent."""
    reasons: dict[str, str] = {}
    if not attention:
        reasons["attention"] = "attention was not read: it needs a local model that reports it"
    if correlation is None:
        reasons["correlation"] = reasons["attention"]
    elif correlation.between.value is None and correlation.within.value is None:
        reasons["correlation"] = "too few dialogues with both attention and scores that vary"
    if area.value is None:
        reasons["area"] = "no dialogue has a score at each of at least two rounds"
    if isinstance(followed, NoFollowedCurve):
        reasons["followed"] = followed.reason
    return reasons


def _counts(episodes: Sequence[Episode], scores: Scores) -> AnalysisCounts:
    answers = [answer for episode in episodes for branch in episode.branches for answer in branch.answers]
    missing = Counter(answer.reason or "no reason given" for answer in answers if answer.score is None)
    missing["no answer was sampled"] += sum(not branch.answers for episode in episodes for branch in episode.branches)
    errors = Counter(episode.failure.reason for episode in episodes if episode.failure is not None)
    rounds = {round_ for found in scores.values() for round_ in found}
    return AnalysisCounts(
        episodes=len(episodes),
        probed=len({dialogue for (dialogue, _, _), found in scores.items() if found}),
        answers=len(answers),
        errors=dict(errors.most_common()),
        overflows=sum(_overflowed(episode) for episode in episodes),
        missing={reason: count for reason, count in missing.most_common() if count},
        incomplete=sum(len(found) < len(rounds) for found in scores.values()),
    )


def _overflowed(episode: Episode) -> bool:
    if episode.failure is not None and episode.failure.kind == "context_full":
        return True
    ends = [turn.finish for turn in episode.turns]
    ends += [answer.finish for branch in episode.branches for answer in branch.answers]
    return "context" in ends
