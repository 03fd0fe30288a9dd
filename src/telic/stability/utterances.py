"""Drift in the dialogue itself: do the utterances follow an instruction that binds every reply?

A probe shows what the model still knows when it is asked. In ordinary replies it may stop following the instruction
much earlier. Where the instruction is one for every reply ("end with a star", "speak French"), the utterances
themselves can be judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from telic.episodes import Answer, Branch, Episode
from telic.stability.curves import CurvePoint, curve_of
from telic.stability.scores import NumberedBranch
from telic.statistics import Interval, bootstrap_mean, mean, paired_difference

__all__ = ["UtteranceStability", "analyse_utterances", "followed_by_id"]


class UtteranceStability(BaseModel):
    """Share of utterances that follow what binds every reply, with 95 % bootstrap intervals over dialogues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: list[CurvePoint]
    """By the number of the speaker's own utterance, from 1; an opener that was given does not count."""
    kept: Interval
    """Share of a dialogue's utterances that follow it."""
    fall: Interval
    """The share in the second half of a dialogue less that in the first half, paired."""
    p: float | None
    """Of the fall: sign-flip test."""

    def __str__(self) -> str:
        change = f"second half minus first half {self.fall}"
        return f"{self.kept} of the utterances follow the instruction; {change}, n = {self.kept.n}"


def analyse_utterances(
    episodes: Iterable[Episode], *, resamples: int = 2000, seed: int = 0
) -> UtteranceStability | None:
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
    return UtteranceStability(
        curve=curve_of(observed, resamples, seed),
        kept=bootstrap_mean(list(_means(observed).values()), resamples=resamples, seed=seed, bounds=(0, 1)),
        fall=fall.difference,
        p=fall.p,
    )


def followed_by_id(episodes: Sequence[Episode]) -> dict[str, float]:
    """Compute the share of each dialogue's utterances that follow what binds every reply, by the dialogue's id."""
    observed = [seen for number, episode in enumerate(episodes) for seen in _judged(number, episode)]
    return {episodes[number].id: share for number, share in _means(observed).items()}


def _judged(number: int, episode: Episode) -> Iterable[NumberedBranch]:
    """Yield the judged utterances in the form of answers to a probe."""
    spoken: Counter[str] = Counter()
    for turn in episode.turns:
        spoken[turn.role] += turn.finish != "given"
        for probe, score in turn.scores.items():
            answer = Answer(text=turn.text, finish=turn.finish, score=score)
            family = str(episode.roles.get(turn.role, {}).get("family", ""))
            yield number, Branch(
                role=turn.role, round=spoken[turn.role], probe=probe, family=family, question="",
                prompt_tokens=turn.prompt_tokens, answers=[answer],
            )  # fmt: skip


def _means(observed: Iterable[NumberedBranch]) -> dict[int, float]:
    """Average each dialogue over its sides and probes, each of these over its utterances."""
    found: defaultdict[int, defaultdict[tuple[str, str], list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for number, branch in observed:
        found[number][branch.role, branch.probe].extend(answer.score for answer in branch.answers)
    means = {number: mean(mean(scores) for scores in keys.values()) for number, keys in found.items()}
    return {number: value for number, value in means.items() if value is not None}
