"""What a stability benchmark says: the curve over rounds, where it drifts, and by how much.

The dialogue is the unit. A dialogue's score at a round is the mean over its probes (of both sides) of the mean over
the answers; intervals resample dialogues; drops compare a dialogue with itself.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from telic.episodes import Answer, Branch, Episode
from telic.errors import DataError
from telic.stability.decay import Correlation, Decay, attention_decay, correlate
from telic.statistics import Interval, PairedDifference, bootstrap_clustered, holm, mean, paired_difference

__all__ = [
    "ALPHA",
    "Counts",
    "Drop",
    "Followed",
    "Observation",
    "Point",
    "Stability",
    "analyse",
    "areas",
    "curve_of",
    "score_by_round",
]

ALPHA = 0.05
FOLLOWED = 0.5  # a probe is followed at round 0 from this mean score on

Observation = tuple[int, Branch]
"""Number of the dialogue, and a branch of it."""
Key = tuple[int, str, str]
"""Number of the dialogue, role, probe: what is compared with itself over rounds."""
Scores = dict[Key, dict[int, float]]
"""Mean score by round; a round without a score is absent."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Result):
    """Stability after some rounds."""

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


class Drop(_Result):
    """Paired difference to the first round: the same probes of the same dialogues."""

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
    """Fell: the adjusted p is below 0.05 and the interval lies below zero."""


class Followed(_Result):
    """The curve over the probes that the model follows before the dialogue.

    What is not followed cannot drift. Choosing by the very answers that are plotted would make a drop out of noise
    (regression to the mean), so that other answers choose.
    """

    curve: list[Point]
    drops: list[Drop]
    drift_round: int | None
    chosen: int
    """Probes of dialogues that are followed."""
    candidates: int
    """Probes of dialogues for which that could be said."""
    method: str
    """Which answers chose."""


class Counts(_Result):
    """What the results rest on, and what is missing from them."""

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


class Stability(_Result):
    """Instruction stability over the rounds of a dialogue. Intervals are 95 % bootstrap intervals."""

    curve: list[Point]
    drops: list[Drop]
    drift_round: int | None
    """First round with a significant drop."""
    area: Interval
    """Area under the curve over its rounds, divided by their number: over the dialogues with all rounds."""
    families: dict[str, list[Point]]
    """The curve by kind of instruction."""
    followed: Followed | None
    attention: list[Decay]
    """Attention to the system prompt, by role; empty where it was not read."""
    correlation: Correlation | None
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why a part is absent, by its name."""
    counts: Counts
    resamples: int
    seed: int

    @property
    def headline(self) -> str:
        """What the numbers say, in one sentence."""
        return _headline(self.drops, self.drift_round)


def analyse(episodes: Iterable[Episode], *, resamples: int = 2000, seed: int = 0) -> Stability:
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
    observed = [(i, branch) for i, episode in enumerate(played) for branch in episode.branches]
    scores = _scores(observed)
    reasons: dict[str, str] = {}
    drops, drift_round = _drops(scores, resamples, seed)
    attention = attention_decay(played, resamples=resamples, seed=seed)
    if not attention:
        reasons["attention"] = "attention was not read: it needs a local model that reports it"
    correlation = correlate(played, _by_side(scores), resamples=resamples, seed=seed)
    if correlation is None:
        reasons["correlation"] = reasons["attention"]
    elif correlation.between.value is None and correlation.within.value is None:
        reasons["correlation"] = "too few dialogues with both attention and scores that vary"
    area = _area(scores, resamples, seed)
    if area.value is None:
        reasons["area"] = "no dialogue has a score at each of at least two rounds"
    followed = _followed(observed, played, resamples, seed)
    if isinstance(followed, str):
        reasons["followed"] = followed
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
        followed=None if isinstance(followed, str) else followed,
        attention=attention,
        correlation=correlation,
        reasons=reasons,
        counts=_counts(played, scores),
        resamples=resamples,
        seed=seed,
    )


def score_by_round(episode: Episode) -> dict[int, float]:
    """The score of one dialogue at each round that has one."""
    by_round: defaultdict[int, list[float]] = defaultdict(list)
    for rounds in _scores([(0, branch) for branch in episode.branches]).values():
        for round_, score in rounds.items():
            by_round[round_].append(score)
    return {round_: sum(found) / len(found) for round_, found in sorted(by_round.items())}


def _scores(observed: Sequence[Observation]) -> Scores:
    answers: defaultdict[Key, defaultdict[int, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for dialogue, branch in observed:
        found = answers[dialogue, branch.role, branch.probe][branch.round]
        found.extend(answer.score for answer in branch.answers)
    return {
        key: {round_: score for round_, found in rounds.items() if (score := mean(found)) is not None}
        for key, rounds in answers.items()
    }


def _by_side(scores: Scores) -> dict[tuple[int, str], dict[int, float]]:
    sides: defaultdict[tuple[int, str], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (dialogue, role, _), rounds in scores.items():
        for round_, score in rounds.items():
            sides[dialogue, role][round_].append(score)
    return {
        side: {round_: sum(found) / len(found) for round_, found in rounds.items()} for side, rounds in sides.items()
    }


def curve_of(observed: Sequence[Observation], resamples: int, seed: int) -> list[Point]:
    """The mean score at each round, with its interval over dialogues."""
    scores = _scores(observed)
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
            Point(
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


def _drops(scores: Scores, resamples: int, seed: int) -> tuple[list[Drop], int | None]:
    """The drop at each round after the first, and the first round at which it is significant."""
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
    """The scores after `round_` rounds with those at the start, over the probes that have both."""
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


def areas(episodes: Sequence[Episode]) -> list[tuple[Episode, float | None]]:
    """Each dialogue's mean stability over the rounds (trapezoid), over its probes that were scored in every round."""
    scores = _scores([(i, branch) for i, episode in enumerate(episodes) for branch in episode.branches])
    found = {dialogue: mean(values) for dialogue, values in _areas(scores).items()}
    return [(episode, found.get(i)) for i, episode in enumerate(episodes)]


def _areas(scores: Scores) -> dict[int, list[float | None]]:
    rounds = sorted({round_ for found in scores.values() for round_ in found})
    dialogues: defaultdict[int, list[float | None]] = defaultdict(list)
    for (dialogue, _, _), found in scores.items():
        complete = len(rounds) > 1 and len(found) == len(rounds)
        dialogues[dialogue].append(
            float(np.trapezoid([found[r] for r in rounds], rounds)) / (rounds[-1] - rounds[0]) if complete else None
        )
    return dialogues


def _area(scores: Scores, resamples: int, seed: int) -> Interval:
    return bootstrap_clustered(_areas(scores).values(), resamples=resamples, seed=seed, bounds=(0, 1))


def _followed(
    observed: Sequence[Observation], episodes: Sequence[Episode], resamples: int, seed: int
) -> Followed | str:
    """The followed-at-round-0 curve, or why there is none."""
    start = [(i, branch) for i, branch in observed if branch.round == 0]
    if not start:
        return "no probe was asked at round 0"
    others = _other_half(start, episodes)
    chosen: dict[Key, list[Answer]] = {}
    methods: Counter[str] = Counter()
    for dialogue, branch in start:
        method, selected, plotted = _select(branch, others[dialogue, branch.role, branch.probe])
        methods[method] += 1
        if selected:
            chosen[dialogue, branch.role, branch.probe] = plotted
    candidates = methods.total() - methods[""]
    if not candidates:
        return (
            "one answer per probe at round 0, and no other dialogue with the same probe: nothing is left to choose "
            "by. Ask for at least two samples at round 0"
        )
    if not chosen:
        return f"none of {candidates} probes was followed at round 0"
    kept = []
    for dialogue, branch in observed:
        key = (dialogue, branch.role, branch.probe)
        if key in chosen:
            answers = chosen[key] if branch.round == 0 else branch.answers
            kept.append((dialogue, branch.model_copy(update={"answers": answers})))
    drops, drift_round = _drops(_scores(kept), resamples, seed)
    return Followed(
        curve=curve_of(kept, resamples, seed),
        drops=drops,
        drift_round=drift_round,
        chosen=len(chosen),
        candidates=candidates,
        method="; ".join(sorted(filter(None, methods))),
    )


def _select(branch: Branch, others: float | None) -> tuple[str, bool, list[Answer]]:
    """How it was decided ("" if it could not be), whether the probe is followed, the answers left to plot."""
    even, odd = branch.answers[0::2], branch.answers[1::2]
    score = mean(answer.score for answer in even)
    if odd and score is not None:
        return "every other answer at round 0 chooses, the rest is plotted", score >= FOLLOWED, odd
    if others is None:
        return "", False, []
    return "each half of the dialogues with the same probe chooses for the other", others >= FOLLOWED, branch.answers


def _other_half(start: Sequence[Observation], episodes: Sequence[Episode]) -> dict[Key, float | None]:
    """For each probe at round 0: the mean score of the same probe in the half of the dialogues it is not in.

    Halves, not all other dialogues: what is left out of a mean over all others moves that mean, so that near the
    threshold exactly the probes that failed would be chosen.
    """
    # The same is all that the model reads: system prompt, probe, question.
    same: defaultdict[tuple[object, str, str], list[Observation]] = defaultdict(list)
    for dialogue, branch in start:
        system = episodes[dialogue].roles.get(branch.role, {}).get("system")
        same[system, branch.probe, branch.question].append((dialogue, branch))
    found: dict[Key, float | None] = {}
    for observed in same.values():
        half = {dialogue: rank % 2 for rank, dialogue in enumerate(dict.fromkeys(i for i, _ in observed))}
        scores: tuple[list[float | None], list[float | None]] = ([], [])
        for dialogue, branch in observed:
            scores[half[dialogue]].extend(answer.score for answer in branch.answers)
        means = [mean(values) for values in scores]
        for dialogue, branch in observed:
            found[dialogue, branch.role, branch.probe] = means[1 - half[dialogue]]
    return found


def _counts(episodes: Sequence[Episode], scores: Scores) -> Counts:
    answers = [answer for episode in episodes for branch in episode.branches for answer in branch.answers]
    missing = Counter(answer.reason or "no reason given" for answer in answers if answer.score is None)
    missing["no answer was sampled"] += sum(not branch.answers for episode in episodes for branch in episode.branches)
    errors = Counter(episode.failure.reason for episode in episodes if episode.failure is not None)
    rounds = {round_ for found in scores.values() for round_ in found}
    return Counts(
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


def _headline(drops: Sequence[Drop], drift_round: int | None) -> str:
    tested = [drop for drop in drops if drop.n]
    if not tested:
        return "nothing to compare: no dialogue has scores at two rounds"
    last = tested[-1]
    if drift_round is not None:
        first = next(drop for drop in drops if drop.round == drift_round)
        again = [str(drop.round) for drop in tested if drop.round > drift_round and not drop.significant]
        text = f"drifts significantly from round {drift_round} ({_numbers(first)})"
        if last is not first:
            text += f"; by round {last.round}: {_numbers(last)}"
        return text + (f"; not significant at round {', '.join(again)}" if again else "")
    # The sign-flip test cannot give a p below 2 / 2^n, which Holm multiplies by the number of rounds at first.
    needed = math.floor(math.log2(2 * len(tested) / ALPHA)) + 1
    most = max(drop.n for drop in tested)
    if most < needed:
        return (
            f"too few dialogues to tell: n = {most}, and a drop over {len(tested)} rounds can be significant from "
            f"n = {needed} on ({_numbers(last)} at round {last.round})"
        )
    corrected = f", before correction for {len(tested)} rounds" if len(tested) > 1 else ""
    return f"no significant drift in {last.round} rounds ({_numbers(last)} at the last{corrected})"


def _numbers(drop: Drop) -> str:
    text = f"{drop.difference:+.2f}"
    if drop.low is not None and drop.high is not None:
        text += f" [{drop.low:+.2f}, {drop.high:+.2f}]"
    return f"{text.replace('-', '−')}, n = {drop.n}"
