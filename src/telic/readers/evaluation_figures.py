"""The figures of an evaluation: accuracy, what is known, false certainty, calibration, and confusion of people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from telic.readers.config import EvaluationConfig
from telic.readers.evaluation_items import UNSAID, EvaluationItem
from telic.readers.reader import Reading
from telic.statistics import Floats, Interval, bootstrap_grouped, bootstrap_sums

__all__ = ["JudgedReading", "judged_figures"]

BINS = 10
"""Bins of equal width between 0 and 1 for the calibration error."""


@dataclass(frozen=True, slots=True)
class JudgedReading:
    """A reading beside the right answers."""

    item: EvaluationItem
    reading: Reading
    said: str | None
    """The right answer: a class, `unknown`, or None if it is not judged."""
    said_of_other: str | None
    """The same of the other subject."""
    true: str | None
    """The class of the user where it is not said, if it is known."""
    lure: str | None
    """The class of somebody else in the dialogue."""

    @property
    def label(self) -> str | None:
        """The class that is said, or else the true one; None without either."""
        return self.said if self.said not in (None, UNSAID) else self.true


def judged_figures(judged: Sequence[JudgedReading], config: EvaluationConfig) -> dict[str, Interval]:
    """Compute the figures of readings, with 95 % bootstrap intervals over groups of items.

    - `accuracy`: where a class is said, how often the reading is that class; an unknown one is not right.
    - `likeliest_right`: how often the likeliest class is the one said, whatever the threshold.
    - `known`: where a class is said, the share of readings that are known.
    - `known_wrong`: where a class is said or true, the share of readings that are known and wrong.
    - `accuracy_known`: of the known readings where a class is said or true, the share that is right.
    - `calibration_error`: where a class is said or true, the expected calibration error of the likeliest class's
      probability (Guo et al. 2017, arXiv 1706.04599), in ten bins. It is biased upwards in small samples.
    - `false_certainty`: where nothing is said, the share of readings that are known.
    - `takeover`: where only the other subject has a class, how often the reading is that class.
    - `lured`: where somebody else in the dialogue has a class that the subject does not, how often it is read.

    Returns:
        The figures that the readings have; `n` is the number of readings behind each.
    """
    found = {}
    for name, score in _SCORES.items():
        scored = [(value, one.item.cluster) for one in judged if (value := score(one)) is not None]
        if scored:
            values, groups = zip(*scored, strict=True)
            interval = bootstrap_grouped(
                values, groups, bounds=(0.0, 1.0), resamples=config.resamples, seed=config.seed
            )
            found[name] = replace(interval, n=len(values))
    labelled = [one for one in judged if one.label is not None]
    if labelled:
        found["calibration_error"] = _calibration_error(labelled, config)
    return found


def _calibration_error(labelled: Sequence[JudgedReading], config: EvaluationConfig) -> Interval:
    """Compute the mean over the bins, weighted by their readings, of the distance of confidence and accuracy."""
    groups = {name: index for index, name in enumerate(dict.fromkeys(one.item.cluster for one in labelled))}
    sums_G_B: Floats = np.zeros((len(groups), BINS + 1))  # the last column counts readings
    for one in labelled:
        confidence, right = one.reading.confidence, one.reading.likeliest == one.label
        row_B = sums_G_B[groups[one.item.cluster]]
        row_B[min(int(confidence * BINS), BINS - 1)] += confidence - right
        row_B[-1] += 1

    def error(sums: Floats) -> Floats:
        distance: Floats = np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
        return distance

    interval = bootstrap_sums(sums_G_B, error, resamples=config.resamples, seed=config.seed)
    return replace(interval, n=len(labelled))


def _is_class(answer: str | None) -> bool:
    return answer not in (None, UNSAID)


def _accuracy(one: JudgedReading) -> float | None:
    return float(one.reading.answer == one.said) if _is_class(one.said) else None


def _likeliest_right(one: JudgedReading) -> float | None:
    return float(one.reading.likeliest == one.said) if _is_class(one.said) else None


def _known(one: JudgedReading) -> float | None:
    return float(one.reading.answer is not None) if _is_class(one.said) else None


def _known_wrong(one: JudgedReading) -> float | None:
    return None if one.label is None else float(one.reading.answer not in (None, one.label))


def _accuracy_known(one: JudgedReading) -> float | None:
    if one.label is None or one.reading.answer is None:
        return None
    return float(one.reading.answer == one.label)


def _false_certainty(one: JudgedReading) -> float | None:
    return float(one.reading.answer is not None) if one.said == UNSAID else None


def _takeover(one: JudgedReading) -> float | None:
    if one.said != UNSAID or not _is_class(one.said_of_other):
        return None
    return float(one.reading.answer == one.said_of_other)


def _lured(one: JudgedReading) -> float | None:
    if one.lure is None or one.said in (None, one.lure):
        return None
    return float(one.reading.answer == one.lure)


_SCORES: dict[str, Callable[[JudgedReading], float | None]] = {
    "accuracy": _accuracy,
    "likeliest_right": _likeliest_right,
    "known": _known,
    "known_wrong": _known_wrong,
    "accuracy_known": _accuracy_known,
    "false_certainty": _false_certainty,
    "takeover": _takeover,
    "lured": _lured,
}
"""Each gives 0 or 1, or None for a reading that the figure is not about."""
