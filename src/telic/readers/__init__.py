"""Readers: what a model believes about the user and about itself, read off its hidden states.

Names are imported when they are first used: reading needs torch, looking at a card does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.readers.attributes import ATTRIBUTES, Attribute
    from telic.readers.config import EvaluationConfig, ReaderTrainingConfig
    from telic.readers.evaluation import evaluate_readers
    from telic.readers.evaluation_items import EvaluationItem, load_natural_items, read_evaluation_items
    from telic.readers.persuasion import read_persuasion
    from telic.readers.reader import Reader, ReaderSet, Reading
    from telic.readers.reading import Beliefs, read_beliefs, read_turns
    from telic.readers.training import TrainedReaders, train_readers

__all__ = [
    "ATTRIBUTES",
    "Attribute",
    "Beliefs",
    "EvaluationConfig",
    "EvaluationItem",
    "Reader",
    "ReaderSet",
    "ReaderTrainingConfig",
    "Reading",
    "TrainedReaders",
    "evaluate_readers",
    "load_natural_items",
    "read_beliefs",
    "read_evaluation_items",
    "read_persuasion",
    "read_turns",
    "train_readers",
]

__getattr__ = imports(
    __name__,
    {
        "ATTRIBUTES": "telic.readers.attributes",
        "Attribute": "telic.readers.attributes",
        "Beliefs": "telic.readers.reading",
        "EvaluationConfig": "telic.readers.config",
        "EvaluationItem": "telic.readers.evaluation_items",
        "Reader": "telic.readers.reader",
        "ReaderSet": "telic.readers.reader",
        "Reading": "telic.readers.reader",
        "ReaderTrainingConfig": "telic.readers.config",
        "TrainedReaders": "telic.readers.training",
        "evaluate_readers": "telic.readers.evaluation",
        "load_natural_items": "telic.readers.evaluation_items",
        "read_beliefs": "telic.readers.reading",
        "read_evaluation_items": "telic.readers.evaluation_items",
        "read_persuasion": "telic.readers.persuasion",
        "read_turns": "telic.readers.reading",
        "train_readers": "telic.readers.training",
    },
)
