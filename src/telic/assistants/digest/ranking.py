"""Ranking: interest, how new a story is, what a mail asks for, and what was shown before; then variety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from telic.assistants.digest.attention import asks_for_attention
from telic.assistants.digest.evidence import DAY, InterestEvidence, ShownItem
from telic.assistants.digest.interests import Interest, Interests
from telic.assistants.digest.stories import DigestStory
from telic.memory.words import content_stems

__all__ = ["RankedStory", "RankingWeights", "Scores", "rank_stories"]

UNKNOWN_AGE = 0.5
"""The recency of an item without a date."""


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """What each part of the score counts for, beside the interest, which counts 1."""

    recency: float = 0.15
    recency_days: float = 2.0
    """Days in which a story loses half of its recency."""
    attention: float = 0.9
    """A mail that needs an answer comes before most of what the user likes."""
    doubt: float = 0.15
    """What is unknown gains a little, so that new interests are found (an upper confidence bound)."""
    seen: float = 0.1
    """What was shown before loses, by its likeness."""
    variety: float = 0.15
    """What stands higher up already loses, by its likeness (maximal marginal relevance)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The parts of a story's score, each as it counts."""

    interest: float
    recency: float
    attention: float
    doubt: float
    seen: float

    @property
    def total(self) -> float:
        """The score."""
        return self.interest + self.recency + self.attention + self.doubt + self.seen


@dataclass(frozen=True, slots=True)
class RankedStory:
    """A story with its score, and what it rests on."""

    story: DigestStory
    scores: Scores
    interest: Interest
    asked: str = ""
    """The words of a mail that ask for its user."""


def rank_stories(
    stories: Sequence[DigestStory],
    evidence: Sequence[InterestEvidence],
    shown: Sequence[ShownItem],
    *,
    now: float,
    most: int,
    most_per_source: int,
    weights: RankingWeights | None = None,
) -> tuple[list[RankedStory], int]:
    """Choose and order the stories of a digest.

    Args:
        stories: what is new.
        evidence: what the user cares about.
        shown: what earlier digests have shown.
        now: seconds since 1970.
        most: stories to choose.
        most_per_source: stories of one source, unless there are no others.
        weights: what each part of the score counts for.

    Returns:
        The chosen stories, best first, and how many were left out because they are like what the user never wants.
    """
    weights = weights or RankingWeights()
    if not stories:
        return [], 0
    stems = [story.item.stems for story in stories]
    before = [content_stems(f"{one.title}\n{one.text}") for one in shown if one.title]
    interests = Interests(evidence, [*stems, *before])
    judged = interests.judge(stems)
    seen = interests.alike(stems, before).max(axis=1) if before else np.zeros(len(stories))
    ranked = [
        _scored(story, interest, float(alike), now, weights)
        for story, interest, alike in zip(stories, judged, seen, strict=True)
        if interest.never is None
    ]
    kept = [one.story.item.stems for one in ranked]
    order = _varied([one.scores.total for one in ranked], interests.alike(kept, kept) if kept else np.zeros((0, 0)),
                    [one.story.item.source for one in ranked], most, most_per_source, weights.variety)  # fmt: skip
    return [ranked[number] for number in order], len(stories) - len(ranked)


def _scored(story: DigestStory, interest: Interest, alike: float, now: float, weights: RankingWeights) -> RankedStory:
    item = story.item
    age = None if item.time is None else max(0.0, now - item.time) / DAY
    recency = UNKNOWN_AGE if age is None else 0.5 ** (age / weights.recency_days)
    attention, asked = asks_for_attention(item)
    scores = Scores(
        interest.value, weights.recency * recency, weights.attention * attention, weights.doubt * interest.doubt,
        -weights.seen * alike,
    )  # fmt: skip
    return RankedStory(story, scores, interest, asked)


def _varied(
    scores: Sequence[float],
    alike: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    sources: Sequence[str],
    most: int,
    most_per_source: int,
    variety: float,
) -> list[int]:
    """Choose greedily, best first, with a loss for what is like something chosen already."""
    left = np.array(scores, dtype=np.float64)
    likest = np.zeros(len(left))
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    while len(chosen) < min(most, len(left)):
        full = np.array([taken[source] >= most_per_source for source in sources])
        worth = left - variety * likest - 1e3 * full
        best = int(np.argmax(worth))
        chosen.append(best)
        taken[sources[best]] += 1
        left[best] = -np.inf
        likest = np.maximum(likest, alike[best])
    return chosen
