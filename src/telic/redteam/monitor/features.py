"""What a monitor sees of a turn: the model's state before its reply or, behind an endpoint, the user's words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from telic.judges.rules import normalise

__all__ = ["TEXT_FEATURES", "FeatureKind", "Floats", "text_features"]

FeatureKind: TypeAlias = Literal["state", "text"]
"""`state`: the last hidden state of the prompt, which the pass that writes the reply yields; `text`: hashed words."""
Floats: TypeAlias = npt.NDArray[np.float32]

TEXT_FEATURES = 1024
"""Number of text features: hashed words and pairs of words of the user's last message, and three counts."""
_COUNTS = 3


def text_features(said: Sequence[str]) -> Floats:
    """Return the features of a turn behind an endpoint, float32 [TEXT_FEATURES].

    Args:
        said: the user's messages so far.
    """
    words = re.findall(r"\w+|[?!]", normalise(said[-1] if said else ""))
    features = np.zeros(TEXT_FEATURES, np.float32)
    for token in (*words, *map(" ".join, pairwise(words))):
        features[zlib.crc32(token.encode()) % (TEXT_FEATURES - _COUNTS)] += 1.0
    norm = float(np.linalg.norm(features))
    features /= norm or 1.0
    features[-_COUNTS:] = np.log1p([len(said), len(words), sum(map(len, said))])
    return features
