"""A probe on words: what can be told from a text without any model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from telic.readers.probe import Floats, Labels, choose_penalty, choose_temperature

__all__ = ["BagOfWords"]

WORDS = 3000
"""Words in the bag, the most frequent ones."""

Labelled = tuple[Sequence[str], Labels]


class BagOfWords:
    """Tells the class of a text by which words occur in it.

    Args:
        training: texts and labels to fit on; words that occur in one text only are left out.
        validation: to choose penalty and temperature on.
        classes: number of classes.
    """

    def __init__(self, training: Labelled, validation: Labelled, classes: int) -> None:
        counts = Counter(word for text in training[0] for word in _words(text))
        frequent = [word for word, count in counts.most_common(WORDS) if count > 1]
        self._places = {word: place for place, word in enumerate(sorted(frequent))}
        parts = [(self._presence(texts), labels_N) for texts, labels_N in (training, validation)]
        _, _, self._probe = choose_penalty(parts[0], parts[1], classes)
        self._temperature = choose_temperature(self._probe.logits(parts[1][0]), validation[1])

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[texts, classes]."""
        found: Floats = softmax(self._probe.logits(self._presence(texts)) / self._temperature, axis=1)
        return found

    def _presence(self, texts: Sequence[str]) -> Floats:
        rows = np.zeros((len(texts), len(self._places)))
        for row, text in zip(rows, texts, strict=True):
            row[[self._places[word] for word in _words(text) if word in self._places]] = 1.0
        return rows


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))
