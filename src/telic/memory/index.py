"""BM25 over passages that grow: an inverted index to which passages and words are added one by one.

A passage scores `idf tf (k + 1) / (tf + k (1 - b + b length / mean))` for each of the query's words, where
`idf = log(1 + (n - df + 0.5) / (df + 0.5))` (Robertson and Zaragoza, 2009). Libraries for BM25 build an index at once;
a memory gets a passage with every message.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["GrowingIndex"]

K, B = 1.2, 0.75


class GrowingIndex:
    """Passages by their words."""

    def __init__(self) -> None:
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        self._lengths = array("f")
        self._total = 0.0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, words: Iterable[str]) -> int:
        """Add a passage; returns its number."""
        number = len(self._lengths)
        self._lengths.append(0.0)
        self.extend(number, words)
        return number

    def extend(self, number: int, words: Iterable[str]) -> None:
        """Add words to a passage."""
        counts = Counter(words)
        for word, count in counts.items():
            numbers, frequencies = self._postings.setdefault(word, (array("i"), array("f")))
            if numbers and numbers[-1] == number:
                frequencies[-1] += count
            else:
                numbers.append(number)
                frequencies.append(count)
        length = sum(counts.values())
        self._lengths[number] += length
        self._total += length

    def search(self, words: Sequence[str], most: int, hidden: Iterable[int] = ()) -> list[tuple[int, float]]:
        """Return the best passages with one of the words, best first, each with its score.

        Args:
            words: the query.
            most: passages to return.
            hidden: numbers of passages to leave out.
        """
        n = len(self._lengths)
        known = [word for word in dict.fromkeys(words) if word in self._postings]
        if not n or not known or most <= 0:
            return []
        lengths_N = np.array(self._lengths, dtype=np.float32)
        norm_N = K * (1 - B + B * lengths_N / max(self._total / n, 1e-6))
        scores_N = np.zeros(n, dtype=np.float32)
        for word in known:
            numbers_P = np.array(self._postings[word][0], dtype=np.int64)
            frequencies_P = np.array(self._postings[word][1], dtype=np.float32)
            idf = np.log1p((n - len(numbers_P) + 0.5) / (len(numbers_P) + 0.5)) if len(numbers_P) < n else 0.05
            np.add.at(scores_N, numbers_P, idf * frequencies_P * (K + 1) / (frequencies_P + norm_N[numbers_P]))
        for number in hidden:
            scores_N[number] = 0.0
        best = np.argpartition(-scores_N, min(most, n) - 1)[:most]
        ordered = best[np.lexsort((-best, -scores_N[best]))]  # of equals, the later passage
        return [(int(number), float(scores_N[number])) for number in ordered if scores_N[number] > 0]
