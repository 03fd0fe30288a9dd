"""The sentiment of what the user says, by VADER's lexicon (Hutto and Gilbert 2014). English only.

Only the valence of single words and their negation count, not VADER's further rules: a message takes microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache

from telic.episodes import Feedback, Quotation
from telic.feedback.conversation import Conversation
from telic.feedback.word_lists import word_list

__all__ = ["SentimentWords"]

_NORMALISER = 15.0
"""VADER's: a sum s of valences becomes s / sqrt(s² + 15)."""
_FLIP = -0.74
"""VADER's: what a negation makes of a valence."""
_REACH = 3
"""Words before a word, among which a negation counts."""
_LEVELS = (
    ("very_positive", 0.6, 1.0, 0.6),
    ("positive", 0.2, 0.5, 0.55),
    ("very_negative", -0.6, -1.0, 0.6),
    ("negative", -0.2, -0.5, 0.55),
)
"""Name, the value from which it holds, reward, confidence; the first that holds is reported."""


class SentimentWords:
    """The sentiment of the user's words."""

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report messages with a positive or negative sentiment, except about tastes that the assistant asked for."""
        for exchange in conversation.exchanges:
            if conversation.asks_taste(exchange.reply):
                continue
            for index in exchange.after:
                value = _value(conversation.texts[index])
                for name, level, reward, confidence in _LEVELS:
                    if value >= level > 0 or value <= level < 0:
                        text = conversation.turns[index].text
                        yield Feedback(
                            source="sentiment", cue=name, turn=exchange.reply, reward=reward, confidence=confidence,
                            evidence=Quotation(turn=index, start=0, end=len(text), text=text),
                            time=conversation.time_of(index), value=round(value, 3),
                        )  # fmt: skip
                        break


def _value(text: str) -> float:
    """Return the sentiment of a text, in [-1, 1]."""
    valences, negations, small_talk = _valences(), word_list("negations"), word_list("small_talk")
    words = text.split()
    total = 0.0
    for place, raw in enumerate(words):
        word = raw.strip(".,!?;:()'\"")
        valence = valences.get(word)
        if valence is None or word in small_talk:
            continue
        before = words[max(0, place - _REACH) : place]
        negated = any(one.strip(".,!?") in negations or one.endswith("n't") for one in before)
        total += _FLIP * valence if negated else valence
    return total / math.sqrt(total * total + _NORMALISER)


@cache
def _valences() -> Mapping[str, float]:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return dict(SentimentIntensityAnalyzer().lexicon)
