"""Passages found by meaning: vectors of a sentence model, beside BM25 (extra `embeddings`).

Both orders are joined by reciprocal rank fusion (Cormack et al., 2009): a passage scores the sum of `1 / (60 + rank)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from telic.errors import ConfigError, MissingExtraError
from telic.registry import Registry

__all__ = ["DenseIndex", "Embed", "embedders", "fuse_ranks", "load_embedder"]

Vectors: TypeAlias = npt.NDArray[np.float32]
Embed: TypeAlias = Callable[[Sequence[str]], Vectors]
"""Returns a vector of length 1 for each text, [N, D]."""

MOST_EMBEDDED = 2000
"""Latest passages of a user that have a vector; older ones are found by their words only. Vectors are not stored."""
RANK_OFFSET = 60

embedders: Registry[Callable[[], Embed]] = Registry("embedder")
"""Factories of embedders by name. A plug-in adds one with the entry point `embedder:NAME`."""


@cache
def load_embedder(name: str) -> Embed:
    """Load an embedder, once for all users.

    Args:
        name: of a plug-in; or a model of sentence-transformers: its folder, or its name on the Hub.

    Raises:
        MissingExtraError: it is no plug-in, and sentence-transformers is not installed.
        ConfigError: the model cannot be loaded.
    """
    if name in embedders.names():
        return embedders.get(name)()
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError(f"[memory] embeddings = {name!r}", "embeddings") from None
    try:
        model = SentenceTransformer(name)
    except Exception as error:  # whatever the Hub, the files and the model's code raise
        raise ConfigError(
            f"[memory] embeddings: cannot load {name!r}: {str(error).splitlines()[0]}. Name a folder or a model of "
            "sentence-transformers, or a plug-in"
        ) from error
    lock = Lock()

    def embed(texts: Sequence[str]) -> Vectors:
        with lock:
            return np.asarray(model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), np.float32)

    return embed


class DenseIndex:
    """Texts by their meaning. They are embedded when they are first searched, all new ones in one batch.

    Args:
        embed: makes the vectors.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._new: list[str] = []
        self._vectors_N_D: Vectors | None = None
        self._first = 0
        """Number of the first text that has a vector."""

    def add(self, text: str) -> None:
        """Add a text; its number is the count of those before it."""
        self._new.append(text)

    def search(self, query: str, most: int, hidden: Iterable[int] = ()) -> list[int]:
        """Return the numbers of the nearest texts, nearest first.

        Args:
            query: what is looked for.
            most: how many to return.
            hidden: numbers to leave out.
        """
        self._embed_new()
        if self._vectors_N_D is None or most <= 0:
            return []
        cosines_N = self._vectors_N_D @ self._embed([query])[0]
        left_out = set(hidden)
        ordered = (self._first + int(place) for place in np.argsort(-cosines_N, kind="stable"))
        return [number for number in ordered if number not in left_out][:most]

    def _embed_new(self) -> None:
        if not self._new:
            return
        skipped = max(0, len(self._new) - MOST_EMBEDDED)
        made_N_D = self._embed(self._new[skipped:])
        if self._vectors_N_D is None or skipped:
            self._first += skipped + (0 if self._vectors_N_D is None else len(self._vectors_N_D))
            joined_N_D = made_N_D
        else:
            joined_N_D = np.concatenate([self._vectors_N_D, made_N_D])
        dropped = max(0, len(joined_N_D) - MOST_EMBEDDED)
        self._first, self._vectors_N_D, self._new = self._first + dropped, joined_N_D[dropped:], []


def fuse_ranks(orders: Iterable[Sequence[int]], most: int) -> list[int]:
    """Join several orders of the same numbers into one, best first."""
    scores: dict[int, float] = {}
    for order in orders:
        for rank, number in enumerate(order, start=1):
            scores[number] = scores.get(number, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda number: (-scores[number], -number))[:most]
