"""Judges made of judges.

A missing score is an unknown truth value: the combination is missing only if the other judges do not settle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.judges.base import STRICT, Judge, Score, build_judge, judge_all, judge_models, registry, scoring
from telic.models.base import Model
from telic.models.requesting import RequestGenerator

__all__ = ["AllOf", "AnyOf", "Not"]

_Specs = list[dict[str, Any]]


@dataclass(frozen=True, config=STRICT)
class _ExtremeOf:
    """The least or the greatest of several judges' scores."""

    argument: _Specs = Field(min_length=1)

    decisive: ClassVar[float]
    """The score that no other can change."""

    def __post_init__(self) -> None:
        _ = self.judges  # a broken judge is an error now, not at the first answer

    @cached_property
    def judges(self) -> list[Judge]:
        """The judges that are combined."""
        return [build_judge(spec) for spec in self.argument]

    def judge(self, answer: str, question: str = "") -> Score:
        """Return the decisive score if a judge gives it, else missing if one is missing, else the extreme score."""
        return _decide([judge.judge(answer, question) for judge in self.judges], self.decisive)

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """Score many `(answer, question)` pairs: each of the judges gets all of them at once."""
        verdicts = zip(*(judge_all(judge, items) for judge in self.judges), strict=True)
        return [_decide(list(scores), self.decisive) for scores in verdicts]

    def scoring(self, answer: str, question: str = "") -> RequestGenerator[Score]:
        """Score one answer, as a generator that yields the requests of the judges that ask models."""
        scores = []
        for judge in self.judges:
            scores.append((yield from scoring(judge, answer, question)))
        return _decide(scores, self.decisive)

    def models(self) -> list[Model]:
        """Return the models that the judges ask."""
        return [model for judge in self.judges for model in judge_models(judge)]


@registry.register("all_of")
@dataclass(frozen=True, config=STRICT)
class AllOf(_ExtremeOf):
    """The least of several judges' scores: `{ all_of = [{ contains = "Mia" }, { casing = "upper" }] }`."""

    decisive: ClassVar[float] = 0.0


@registry.register("any_of")
@dataclass(frozen=True, config=STRICT)
class AnyOf(_ExtremeOf):
    """The greatest of several judges' scores: `{ any_of = [{ contains = "Mia" }, { regex = "M[iy]a" }] }`."""

    decisive: ClassVar[float] = 1.0


@registry.register("not")
@dataclass(frozen=True, config=STRICT)
class Not:
    """One minus a judge's score: `{ not = { contains = "as an AI" } }`. Missing stays missing."""

    argument: dict[str, Any]

    def __post_init__(self) -> None:
        _ = self.inner

    @cached_property
    def inner(self) -> Judge:
        """The judge whose score is inverted."""
        return build_judge(self.argument)

    @property
    def judges(self) -> list[Judge]:
        """The one judge that is negated."""
        return [self.inner]

    def judge(self, answer: str, question: str = "") -> Score:
        """Invert the score."""
        return _inverted(self.inner.judge(answer, question))

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """Score many `(answer, question)` pairs at once."""
        return [_inverted(score) for score in judge_all(self.inner, items)]

    def scoring(self, answer: str, question: str = "") -> RequestGenerator[Score]:
        """Score one answer, as a generator that yields the judge's requests."""
        score = yield from scoring(self.inner, answer, question)
        return _inverted(score)

    def models(self) -> list[Model]:
        """Return the models that the judge asks."""
        return judge_models(self.inner)


def _inverted(score: Score) -> Score:
    return score if score.value is None else Score(1.0 - score.value, score.reason)


def _decide(scores: list[Score], decisive: float) -> Score:
    """Return the score nearest to the decisive one, or a missing one that could have been decisive."""
    known = [score for score in scores if score.value is not None]
    unknown = next((score for score in scores if score.value is None), None)
    if unknown is not None and all(score.value != decisive for score in known):
        return unknown
    return min(known, key=lambda score: abs((score.value or 0.0) - decisive))
