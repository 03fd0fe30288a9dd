"""A classifier of texts by their words: how much can be told without any model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from telic.readers.linear_probe import Floats, Labels, choose_penalty, choose_temperature

__all__ = ["BagOfWords"]

WORDS = 3000
"""Words in the bag, the most frequent ones."""

Labelled = tuple[Sequence[str], Labels]


class BagOfWords:
    """A linear classifier of texts by the words that occur in them.

    Args:
        training: texts and labels to fit on; words that occur in one text only are ignored.
        validation: texts and labels to choose the penalty and the temperature on.
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
        """Compute the classes' probabilities, [texts, classes]."""
        found: Floats = softmax(self._probe.logits(self._presence(texts)) / self._temperature, axis=1)
        return found

    def _presence(self, texts: Sequence[str]) -> Floats:
        presence_N_W = np.zeros((len(texts), len(self._places)))
        for presence_W, text in zip(presence_N_W, texts, strict=True):
            presence_W[[self._places[word] for word in _words(text) if word in self._places]] = 1.0
        return presence_N_W


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))
