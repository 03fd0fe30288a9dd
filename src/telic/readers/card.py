"""A reader's card: how it does on the texts that it was chosen with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from telic.readers.attributes import find_attribute
from telic.readers.config import ReaderTrainingConfig
from telic.readers.linear_probe import LEFT_OUT
from telic.readers.reader import Reader
from telic.readers.text_recording import RecordedTexts
from telic.statistics import Interval, bootstrap_mean

__all__ = ["reader_card"]


def reader_card(reader: Reader, validation: RecordedTexts, config: ReaderTrainingConfig) -> dict[str, Any]:
    """Measure a reader for its card, on validation texts, with 95 % bootstrap intervals over texts.

    Temperature and threshold were chosen on these texts, so the figures are somewhat too good; what a
    reader does in use is told by an evaluation on other texts.

    - `right`: share of the texts that tell the class in which the answer is right.
    - `wrong`: share of these in which it is another class.
    - `unknown`: share of the texts that tell nothing in which the answer is unknown.
    - `slices`: the same by kind of text, and for those written by hand (`written`).

    Args:
        reader: the reader.
        validation: the validation texts.
        config: the settings.
    """
    labels_N = validation.labels(find_attribute(reader.attribute), reader.subject)
    answers = [reading.answer for reading in reader.read(validation.features_N)]
    usable = np.flatnonzero(labels_N != LEFT_OUT).tolist()
    rows = [
        (
            validation.texts[i].kind,
            None if labels_N[i] == len(reader.classes) else reader.classes[labels_N[i]],
            answers[i],
        )
        for i in usable
    ]
    kinds = list(dict.fromkeys(kind for kind, _, _ in rows))
    return {
        "layers": list(reader.layers),
        "temperature": reader.temperature,
        "threshold": reader.threshold,
        "texts": dict(Counter("unknown" if label is None else label for _, label, _ in rows)),
        **_figures([row[1:] for row in rows], config),
        "slices": {kind: _figures([row[1:] for row in rows if row[0] == kind], config) for kind in kinds},
    }


def _figures(rows: Sequence[tuple[str | None, str | None]], config: ReaderTrainingConfig) -> dict[str, Any]:
    """Compute the figures of pairs of a label and an answer."""
    told = [(label, answer) for label, answer in rows if label is not None]
    nothing = [answer for label, answer in rows if label is None]
    found = {
        "right": [float(answer == label) for label, answer in told],
        "wrong": [float(answer not in (None, label)) for label, answer in told],
        "unknown": [float(answer is None) for answer in nothing],
    }
    return {name: asdict(_rate(values, config)) for name, values in found.items() if values}


def _rate(values: Sequence[float], config: ReaderTrainingConfig) -> Interval:
    return bootstrap_mean(values, bounds=(0.0, 1.0), resamples=config.resamples, seed=config.seed)
