"""Judges made of judges, and of the user's own functions.

A missing score is an unknown truth value: it decides a combination only where the other judges leave it open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.errors import JudgeError
from telic.judges.base import STRICT, Function, Judge, Score, build, judge_all, registry

__all__ = ["AllOf", "AnyOf", "Not", "function"]

_Specs = list[dict[str, Any]]


@registry.register("all_of")
@dataclass(frozen=True, config=STRICT)
class AllOf:
    """The least of several judges' scores: `{ all_of = [{ contains = "Mia" }, { casing = "upper" }] }`."""

    argument: _Specs = Field(min_length=1)

    def __post_init__(self) -> None:
        _ = self.judges  # a broken judge is an error now, not at the first answer

    @cached_property
    def judges(self) -> list[Judge]:
        """The judges that are combined."""
        return [build(spec) for spec in self.argument]

    def judge(self, answer: str, question: str = "") -> Score:
        """0 as soon as one judge says 0; missing if one is missing; else the minimum."""
        scores = [judge.judge(answer, question) for judge in self.judges]
        return _decide(scores, min, settled=0.0)

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """The same for many `(answer, question)` pairs: each of the judges gets all of them at once."""
        verdicts = zip(*(judge_all(judge, items) for judge in self.judges), strict=True)
        return [_decide(list(scores), min, settled=0.0) for scores in verdicts]


@registry.register("any_of")
@dataclass(frozen=True, config=STRICT)
class AnyOf:
    """The greatest of several judges' scores: `{ any_of = [{ contains = "Mia" }, { regex = "M[iy]a" }] }`."""

    argument: _Specs = Field(min_length=1)

    def __post_init__(self) -> None:
        _ = self.judges  # a broken judge is an error now, not at the first answer

    @cached_property
    def judges(self) -> list[Judge]:
        """The judges that are combined."""
        return [build(spec) for spec in self.argument]

    def judge(self, answer: str, question: str = "") -> Score:
        """1 as soon as one judge says 1; missing if one is missing; else the maximum."""
        scores = [judge.judge(answer, question) for judge in self.judges]
        return _decide(scores, max, settled=1.0)

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """The same for many `(answer, question)` pairs: each of the judges gets all of them at once."""
        verdicts = zip(*(judge_all(judge, items) for judge in self.judges), strict=True)
        return [_decide(list(scores), max, settled=1.0) for scores in verdicts]


@registry.register("not")
@dataclass(frozen=True, config=STRICT)
class Not:
    """One minus a judge's score: `{ not = { contains = "as an AI" } }`. Missing stays missing."""

    argument: dict[str, Any]

    def __post_init__(self) -> None:
        _ = self.inner

    @cached_property
    def inner(self) -> Judge:
        """The judge that is turned round."""
        return build(self.argument)

    def judge(self, answer: str, question: str = "") -> Score:
        """Turn the score round."""
        return _turned(self.inner.judge(answer, question))

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """The same for many `(answer, question)` pairs at once."""
        return [_turned(score) for score in judge_all(self.inner, items)]


@registry.register("callable")
def function(argument: str, **options: Any) -> Judge:
    """The user's own function: `{ callable = "package.module:function" }`.

    The function takes the answer (and the question, where its second parameter is called so) and returns true,
    false or a number in [0, 1]. With options, or where it is a class, it is a factory: called with the options, it
    returns a `Judge` or such a function.

    Raises:
        JudgeError: there is no such module or function.
    """
    if not isinstance(argument, str) or argument.count(":") != 1:
        raise JudgeError(f"argument is {argument!r}; expected 'package.module:function'")
    module, _, path = argument.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise JudgeError(f"{argument!r} cannot be imported: {error}") from error
    made = found(**options) if options or isinstance(found, type) else found
    if isinstance(made, Judge):
        return made
    if not callable(made):
        raise JudgeError(f"{argument!r} is {made!r}; expected a function of the answer or a Judge")
    return Function(made, argument)


def _turned(score: Score) -> Score:
    return score if score.value is None else Score(1.0 - score.value, score.reason)


def _decide(scores: list[Score], extreme: Callable[[Iterable[float]], float], settled: float) -> Score:
    """Return the extreme score, or the missing one that might still have changed it."""
    known = {score.value: score for score in reversed(scores) if score.value is not None}
    unknown = next((score for score in scores if score.value is None), None)
    if unknown is None or settled in known:
        return known[extreme(known)]
    return unknown
