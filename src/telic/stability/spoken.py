"""Drift in the dialogue itself: do the utterances keep an instruction that binds every reply?

A probe shows what the model still knows when it is asked; what it does unasked may be gone long before. Where the
instruction is one for every reply ("end with a star", "speak French"), the utterances can be judged as they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from telic.episodes import Answer, Branch, Episode
from telic.stability.analysis import Observation, Point, curve_of
from telic.statistics import Interval, bootstrap_mean, mean, paired_difference

__all__ = ["Spoken", "kept_by_id", "spoken"]


class Spoken(BaseModel):
    """How far the utterances keep what binds every reply. Intervals are 95 % bootstrap intervals over dialogues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: list[Point]
    """By the number of the speaker's own utterance, from 1; an opener that was given is none."""
    kept: Interval
    """Share of a dialogue's utterances that keep it."""
    fall: Interval
    """The same in the second half of a dialogue less that in the first half, paired."""
    p: float | None
    """Of the fall: sign-flip test."""

    def __str__(self) -> str:
        return f"{self.kept} of the utterances keep it; second half less first {self.fall}, n = {self.kept.n}"


def spoken(episodes: Iterable[Episode], *, resamples: int = 2000, seed: int = 0) -> Spoken | None:
    """Analyse the utterances of self-chats; None where none was judged.

    Args:
        episodes: as recorded.
        resamples: bootstrap resamples of each interval.
        seed: of the resampling.
    """
    played = list(episodes)
    observed = [seen for number, episode in enumerate(played) for seen in _judged(number, episode)]
    if not observed:
        return None
    rounds = max(branch.round for _, branch in observed)
    halves = [_means((i, b) for i, b in observed if (b.round > rounds / 2) is second) for second in (False, True)]
    both = sorted(halves[0].keys() & halves[1].keys())
    fall = paired_difference(
        [halves[1][i] for i in both], [halves[0][i] for i in both], resamples=resamples, seed=seed, bounds=(-1, 1)
    )
    return Spoken(
        curve=curve_of(observed, resamples, seed),
        kept=bootstrap_mean(list(_means(observed).values()), resamples=resamples, seed=seed, bounds=(0, 1)),
        fall=fall.difference,
        p=fall.p,
    )


def kept_by_id(episodes: Sequence[Episode]) -> dict[str, float]:
    """By id of the dialogue: the share of its utterances that keep what binds every reply."""
    observed = [seen for number, episode in enumerate(episodes) for seen in _judged(number, episode)]
    return {episodes[number].id: share for number, share in _means(observed).items()}


def _judged(number: int, episode: Episode) -> Iterable[Observation]:
    """The judged utterances, in the form of answers to a probe."""
    said: Counter[str] = Counter()
    for turn in episode.turns:
        said[turn.role] += turn.finish != "given"
        for probe, score in turn.scores.items():
            answer = Answer(text=turn.text, finish=turn.finish, score=score)
            family = str(episode.roles.get(turn.role, {}).get("family", ""))
            yield number, Branch(
                role=turn.role, round=said[turn.role], probe=probe, family=family, question="",
                prompt_tokens=turn.prompt_tokens, answers=[answer],
            )  # fmt: skip


def _means(observed: Iterable[Observation]) -> dict[int, float]:
    """By dialogue: the mean over its sides and probes of the mean over their utterances."""
    found: defaultdict[int, defaultdict[tuple[str, str], list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for number, branch in observed:
        found[number][branch.role, branch.probe].extend(answer.score for answer in branch.answers)
    means = {number: mean(mean(scores) for scores in keys.values()) for number, keys in found.items()}
    return {number: value for number, value in means.items() if value is not None}
