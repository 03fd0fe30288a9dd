"""Probes for tests, of the right width for a model."""

from __future__ import annotations

import numpy as np

from telic.models import LocalModel
from telic.readers.recording import CONTEXT_FEATURES
from telic.readers.token_probe import TokenProbe


def feature_width(model: LocalModel, layers: int) -> int:
    """Number of a token's features."""
    shape = model.runner.arena.shape
    return layers * shape.kv_heads * shape.head_dim + CONTEXT_FEATURES


def random_probe(model: LocalModel, layers: int, classes: int, seed: int = 0, scale: float = 0.3) -> TokenProbe:
    """A probe with two heads and random weights, for so many classes and unknown."""
    rng, width = np.random.default_rng(seed), feature_width(model, layers)
    sizes = ((2, width), (2, classes + 1, width), (classes + 1,))
    return TokenProbe(*(scale * rng.standard_normal(size).astype(np.float32) for size in sizes))


def constant_probe(model: LocalModel, layers: int, bias_C: np.ndarray) -> TokenProbe:
    """A probe that says the same whatever is said."""
    width = feature_width(model, layers)
    return TokenProbe(np.zeros((1, width)), np.zeros((1, len(bias_C), width)), bias_C)
