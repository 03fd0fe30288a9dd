"""How alike two texts are, and whether they are about the same: by words and by character n-grams. No model.

A text's profile counts its content words, cut to stems. `edit_similarity` is the Dice coefficient (1945) of character
trigrams, which a moved word hardly changes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from telic.feedback.word_lists import word_list

__all__ = ["Profile", "cosine", "edit_similarity", "is_rephrased", "profile_of"]

REPHRASED = 0.65
"""Overlap of the content words, from which two messages count as the same request."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class Profile:
    """The content words of a text, cut to stems."""

    counts: Mapping[str, int]
    norm: float

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Profile:
        """Make a profile with its norm."""
        return cls(counts, math.sqrt(sum([count * count for count in counts.values()])))

    @classmethod
    def of_words(cls, words: Iterable[str]) -> Profile:
        """Count the stems of the content words among these words, which are in lower case."""
        counts: dict[str, int] = {}
        for word in words:
            if stem := _content_stem(word):
                counts[stem] = counts.get(stem, 0) + 1
        return cls.of(counts)

    @classmethod
    def sum(cls, profiles: Iterable[Profile]) -> Profile:
        """Join profiles: that of the texts one after another."""
        counts: dict[str, int] = {}
        for profile in profiles:
            for word, count in profile.counts.items():
                counts[word] = counts.get(word, 0) + count
        return cls.of(counts)


def profile_of(text: str) -> Profile:
    """Count the stems of a text's content words."""
    return Profile.of_words(_WORD.findall(text.lower()))


def cosine(a: Profile, b: Profile) -> float:
    """Return the cosine of two profiles, in [0, 1]; 0 if either text has no content words."""
    if not a.counts or not b.counts:
        return 0.0
    small, large = (a, b) if len(a.counts) <= len(b.counts) else (b, a)
    shared = sum(count * large.counts[word] for word, count in small.counts.items() if word in large.counts)
    return shared / (a.norm * b.norm)


def edit_similarity(a: str, b: str) -> float:
    """Return the Dice coefficient of two texts' character trigrams, in [0, 1]; 1 for equal texts."""
    grams_a, grams_b = _trigrams(a), _trigrams(b)
    total = sum(grams_a.values()) + sum(grams_b.values())
    return 2 * sum((grams_a & grams_b).values()) / total if total else 1.0


def is_rephrased(a: Profile, b: Profile) -> bool:
    """Return whether two messages of a user ask for the same: most content words of the shorter one recur."""
    small, large = (a, b) if len(a.counts) <= len(b.counts) else (b, a)
    if len(small.counts) < 2:
        return False
    shared = sum(word in large.counts for word in small.counts)
    return shared >= 2 and shared / len(small.counts) >= REPHRASED


@lru_cache(maxsize=1 << 16)
def _content_stem(word: str) -> str:
    """Cut a content word to what its forms share: `booked`, `booking` and `bookings` become `book`; else return ''."""
    if len(word) < 2 or word in word_list("stopwords"):
        return ""
    for ending in ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _trigrams(text: str) -> Counter[str]:
    padded = f"  {' '.join(text.lower().split())} " if text.strip() else ""
    return Counter(padded[i : i + 3] for i in range(len(padded) - 2))
