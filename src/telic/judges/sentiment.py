"""The sentiment of an answer, by VADER: a lexicon with rules for negation, emphasis and emoji; English only.

Hutto and Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.judges.base import STRICT, Score, registry

__all__ = ["Sentiment"]

LONGEST = 10_000
"""Characters of the longest answer: VADER is made for short texts, and takes quadratic time."""


@registry.register("sentiment")
@dataclass(frozen=True, config=STRICT)
class Sentiment:
    """The answer has this sentiment: `{ sentiment = "positive" }`.

    VADER's compound value lies in [-1, 1]: positive from `threshold` up, negative from `-threshold` down, else
    neutral.
    """

    argument: Literal["positive", "negative", "neutral"]
    threshold: float = Field(default=0.05, gt=0, le=1)
    """The default is VADER's own."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer has the sentiment, 0 if it has another; missing if it is empty or very long."""
        if not answer.strip():
            return Score.missing("the answer is empty")
        if len(answer) > LONGEST:
            return Score.missing(f"undetermined: {len(answer):,} characters; VADER reads at most {LONGEST:,}")
        compound = float(_analyser().polarity_scores(answer)["compound"])
        sign = (compound >= self.threshold) - (compound <= -self.threshold)
        found = ("neutral", "positive", "negative")[sign]
        return Score.of(found == self.argument, f"sounds {found}: {compound:+.2f}")


@lru_cache(maxsize=1)
def _analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
