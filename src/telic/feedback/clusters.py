"""What users praise and complain of: replies grouped by what they were about, with quotations.

The words are cut to stems and weighted by how rare they are (TF-IDF), so that complaints about one thing in different
words fall together. Clustering is by leaders: each text joins the nearest cluster, or begins one. It is deterministic.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telic.feedback.similarity import profile_of
from telic.feedback.summaries import Moment

__all__ = ["Cluster", "cluster_moments"]

NEAR = 0.25
"""Cosine with a cluster's centre from which a text joins it."""
NAMED_BY = 3
"""Words that name a cluster."""
TELLING = 0.1
"""Weight of a word, against the largest one, from which it is part of the name."""
QUOTED = 3
"""Moments that are quoted of a cluster."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Replies that were praised, or blamed, in dialogues about the same."""

    words: tuple[str, ...]
    """The words that stand out."""
    size: int
    conversations: int
    examples: tuple[Moment, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        examples = [one.as_dict() for one in self.examples]
        return {"words": list(self.words), "size": self.size, "conversations": self.conversations, "examples": examples}


def cluster_moments(moments: Sequence[Moment], most: int = 8) -> list[Cluster]:
    """Group moments by the words of the request and of the user's answer, the largest cluster first.

    Args:
        moments: replies that were praised, or that were blamed.
        most: clusters to return. A moment that no other one is like makes no cluster, unless there is no other.
    """
    texts = [f"{one.request} {one.answer}" for one in moments]
    counts = [profile_of(text).counts for text in texts]
    frequency = Counter(word for one in counts for word in one)
    rarity = {word: math.log((1 + len(texts)) / count) for word, count in frequency.items()}
    vectors = [_unit({word: count * rarity[word] for word, count in one.items()}) for one in counts]
    members = _leaders(vectors)
    clusters = sorted(
        (_cluster([moments[i] for i in group], [vectors[i] for i in group]) for group in members), key=_rank
    )
    several = [one for one in clusters if one.size > 1]
    return (several or clusters)[:most]


def _rank(cluster: Cluster) -> tuple[int, int, tuple[str, ...]]:
    return -cluster.conversations, -cluster.size, cluster.words


def _unit(vector: dict[str, float]) -> dict[str, float]:
    norm = math.sqrt(math.fsum(value * value for value in vector.values()))
    return {word: value / norm for word, value in vector.items()} if norm else {}


def _leaders(vectors: Sequence[dict[str, float]]) -> list[list[int]]:
    """Return the members of each cluster; texts without words belong to none."""
    sums: list[dict[str, float]] = []
    members: list[list[int]] = []
    having: defaultdict[str, list[int]] = defaultdict(list)
    norms: list[float] = []
    for index, vector in enumerate(vectors):
        if not vector:
            continue
        dots: defaultdict[int, float] = defaultdict(float)
        for word, value in vector.items():
            for number in having[word]:
                dots[number] += value * sums[number][word]
        best = max(dots, key=lambda number: (dots[number] / norms[number], -number), default=None)
        if best is None or dots[best] / norms[best] < NEAR:
            best = len(sums)
            sums.append({})
            members.append([])
            norms.append(0.0)
        members[best].append(index)
        for word, value in vector.items():
            if word not in sums[best]:
                having[word].append(best)
            sums[best][word] = sums[best].get(word, 0.0) + value
        norms[best] = math.sqrt(math.fsum(value * value for value in sums[best].values()))
    return members


def _cluster(moments: Sequence[Moment], vectors: Sequence[dict[str, float]]) -> Cluster:
    total: Counter[str] = Counter()
    for vector in vectors:
        total.update(vector)
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:NAMED_BY]
    stems = [word for word, weight in ranked if weight >= TELLING * ranked[0][1]]
    strongest = sorted(moments, key=lambda one: (-abs(one.reward), one.conversation, one.turn))
    examples = {one.conversation: one for one in reversed(strongest)}  # one of each conversation
    quoted = sorted(examples.values(), key=lambda one: (-abs(one.reward), one.conversation, one.turn))[:QUOTED]
    names = tuple(_written(stem, moments) for stem in stems)
    return Cluster(names, len(moments), len(examples), tuple(quoted))


def _written(stem: str, moments: Sequence[Moment]) -> str:
    """Return the most frequent form of a stem."""
    start = stem[:4]
    words = Counter(
        word
        for one in moments
        for word in _WORD.findall(f"{one.request} {one.answer}".lower())
        if word.startswith(start)
    )
    forms = {word: count for word, count in words.items() if stem in profile_of(word).counts}
    return min(forms, key=lambda word: (-forms[word], word)) if forms else stem
