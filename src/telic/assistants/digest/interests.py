"""Interests: a Gaussian process over words that learns from few reactions, says why, and knows how unsure it is.

The interest in an item is a linear function of its TF-IDF vector with a normal prior on the weights (Rasmussen and
Williams, 2006, chapter 2). Each piece of evidence is an observation of it. Its noise variance is `NOISE` over its
weight, so that old and weak evidence counts for less. All is solved exactly, in the space of the evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from telic.assistants.digest.evidence import InterestEvidence
from telic.memory.words import content_stems

__all__ = ["Interest", "Interests"]

Floats = npt.NDArray[np.float64]

NOISE = 0.3
"""Variance of one observation, in a space where an item's own interest has variance 1."""
LEAST_WEIGHT = 0.02
"""Weight below which evidence is left out."""
MOST_EVIDENCE = 1500
"""Pieces of evidence that count, the heaviest first: solving takes the cube of their number."""
NEVER_ALIKE = 0.3
"""Cosine with an item that the user never wants to see, from which another one is left out."""


@dataclass(frozen=True)
class Interest:
    """The interest in one item."""

    value: float
    """Expected, about -1 to 1."""
    doubt: float
    """Its standard deviation, 0 to 1: 1 where nothing is known of its words."""
    words: tuple[tuple[str, float], ...] = ()
    """The words that raise or lower it most, each with its share of the value."""
    evidence: tuple[tuple[InterestEvidence, float], ...] = ()
    """The evidence that raises or lowers it most, each with its share of the value."""
    never: InterestEvidence | None = None
    """What the user never wants to see and this is like."""


class Interests:
    """What a user cares about.

    Args:
        evidence: all that is known.
        pool: the stems of the items to judge, which tell rare words from common ones.
    """

    def __init__(self, evidence: Iterable[InterestEvidence], pool: Sequence[Sequence[str]]) -> None:
        found = sorted((one for one in evidence if one.weight >= LEAST_WEIGHT or one.never), key=lambda e: -e.weight)
        self._evidence = found[:MOST_EVIDENCE]
        texts = [content_stems(one.text) for one in self._evidence]
        counts = Counter(stem for stems in (*texts, *pool) for stem in set(stems))
        n = len(texts) + len(pool)
        self._numbers = {stem: number for number, stem in enumerate(counts)}
        self._idf = np.array([np.log((1 + n) / (1 + count)) + 0.2 for count in counts.values()], dtype=np.float64)
        self._known = self._vectors(texts)
        noise = np.array([NOISE / max(one.weight, LEAST_WEIGHT) for one in self._evidence])
        targets = np.array([one.target for one in self._evidence])
        gram = (self._known @ self._known.T).toarray() + np.diag(noise)
        self._factor = cho_factor(gram) if len(targets) else None
        self._alpha: Floats = cho_solve(self._factor, targets) if self._factor is not None else targets
        self._weights: Floats = np.asarray(self._known.T @ self._alpha).ravel()
        self._names = list(counts)

    def judge(self, items: Sequence[Sequence[str]], *, explain: bool = True) -> list[Interest]:
        """Judge items by their stems.

        Args:
            items: the stems of each item; all were in the pool.
            explain: whether to name words and evidence.
        """
        vectors = self._vectors(items)
        values = vectors @ self._weights
        alike = np.asarray((vectors @ self._known.T).toarray())
        doubts = np.ones(len(items))
        if self._factor is not None:
            explained = np.einsum("ij,ji->i", alike, cho_solve(self._factor, alike.T))
            doubts = np.sqrt(np.clip(1.0 - explained, 0.0, 1.0))
        return [
            self._interest(vectors[row], float(values[row]), float(doubts[row]), alike[row], explain)
            for row in range(len(items))
        ]

    def alike(self, items: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> Floats:
        """Return the cosines between items and others, by their stems: shape (items, others)."""
        return np.asarray((self._vectors(items) @ self._vectors(others).T).toarray(), dtype=np.float64)

    def _interest(self, vector: sparse.csr_array, value: float, doubt: float, alike: Floats, explain: bool) -> Interest:
        nevers = [(alike[i], one) for i, one in enumerate(self._evidence) if one.never and alike[i] >= NEVER_ALIKE]
        never = max(nevers, key=lambda pair: pair[0])[1] if nevers else None
        if not explain:
            return Interest(value, doubt, never=never)
        row = vector.tocoo()
        shares = [(self._names[j], float(x * self._weights[j])) for j, x in zip(row.coords[-1], row.data, strict=True)]
        words = tuple(sorted(shares, key=lambda pair: -abs(pair[1]))[:8])
        parts = alike * self._alpha
        best = np.argsort(-np.abs(parts))[:5]
        return Interest(
            value, doubt, words, tuple((self._evidence[i], float(parts[i])) for i in best if parts[i]), never
        )

    def _vectors(self, texts: Sequence[Sequence[str]]) -> sparse.csr_array:
        """Return TF-IDF vectors of length 1, a row each: shape (texts, words)."""
        rows, columns, values = [], [], []
        for row, stems in enumerate(texts):
            for stem, count in Counter(stems).items():
                if (number := self._numbers.get(stem)) is not None:
                    rows.append(row)
                    columns.append(number)
                    values.append((1.0 + np.log(count)) * self._idf[number])
        found = sparse.csr_array((values, (rows, columns)), shape=(len(texts), len(self._numbers)), dtype=np.float64)
        lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1))).ravel()
        scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return sparse.csr_array(sparse.diags_array(scale) @ found)
