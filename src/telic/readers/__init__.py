"""Readers: what a model takes the user, and itself, to be, read off its hidden states.

They are imported when they are first used: to read takes torch, to look at a card does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.readers.attributes import ATTRIBUTES, Attribute
    from telic.readers.config import TrainConfig
    from telic.readers.reader import Reader, ReaderSet, Reading
    from telic.readers.reading import Beliefs, read, read_turns
    from telic.readers.training import Trained, train

__all__ = [
    "ATTRIBUTES",
    "Attribute",
    "Beliefs",
    "Reader",
    "ReaderSet",
    "Reading",
    "TrainConfig",
    "Trained",
    "read",
    "read_turns",
    "train",
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
        "TrainConfig": "telic.readers.config",
        "Trained": "telic.readers.training",
        "read": "telic.readers.reading",
        "read_turns": "telic.readers.reading",
        "train": "telic.readers.training",
    },
)
