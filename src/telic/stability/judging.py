"""Judging answers to probes: at once by rule, later and all together where a judge asks a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telic.episodes import Answer
from telic.errors import TelicError
from telic.judges import Judge, Score
from telic.judges.base import judge_all

__all__ = ["DeferredAnswer", "judge_answers", "judge_deferred"]


@dataclass(frozen=True, slots=True)
class DeferredAnswer:
    """An answer that is judged later: its score is missing until then."""

    answer: Answer
    question: str
    judge: Judge


def judge_answers(judge: Judge, items: Sequence[tuple[str, str]]) -> list[Score]:
    """Score `(answer, question)` pairs. If a judge from a plug-in raises, the scores are missing and the run goes on.

    Raises:
        TelicError: no score will ever come, for example because the judge's model cannot be loaded.
    """
    try:
        return judge_all(judge, items)
    except TelicError:
        raise
    except Exception as error:
        return [Score.missing(f"the judge failed: {error!r}")] * len(items)


def judge_deferred(deferred: Iterable[DeferredAnswer]) -> None:
    """Put the scores into deferred answers, asking each judge once for all of its answers."""
    by_judge: dict[int, list[DeferredAnswer]] = {}
    for item in deferred:
        by_judge.setdefault(id(item.judge), []).append(item)
    for items in by_judge.values():
        scores = judge_answers(items[0].judge, [(item.answer.text, item.question) for item in items])
        for item, score in zip(items, scores, strict=True):
            item.answer.score, item.answer.reason = score.value, score.reason
