"""Readers: what a model believes about the user and about itself, read off its hidden states.

Names are imported when they are first used: reading needs torch, looking at a card does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.readers.attributes import ATTRIBUTES, Attribute
    from telic.readers.config import ReaderTrainingConfig
    from telic.readers.reader import Reader, ReaderSet, Reading
    from telic.readers.reading import Beliefs, read_beliefs, read_turns
    from telic.readers.training import TrainedReaders, train_readers

__all__ = [
    "ATTRIBUTES",
    "Attribute",
    "Beliefs",
    "Reader",
    "ReaderSet",
    "ReaderTrainingConfig",
    "Reading",
    "TrainedReaders",
    "read_beliefs",
    "read_turns",
    "train_readers",
]

__getattr__ = imports(
    __name__,
    {
        "ATTRIBUTES": "telic.readers.attributes",
        "Attribute": "telic.readers.attributes",
        "Beliefs": "telic.readers.reading",
        "Reader": "telic.readers.reader",
        "ReaderSet": "telic.readers.reader",
        "Reading": "telic.readers.reader",
        "ReaderTrainingConfig": "telic.readers.config",
        "TrainedReaders": "telic.readers.training",
        "read_beliefs": "telic.readers.reading",
        "read_turns": "telic.readers.reading",
        "train_readers": "telic.readers.training",
    },
)
