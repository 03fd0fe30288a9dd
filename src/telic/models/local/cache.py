"""Key-value caches: what a session keeps of the tokens it has read.

A session's cache is a chain of immutable segments. A fork shares the chain, so it costs nothing; a longer dialogue
adds a segment. The engine copies a chain into a slot of the arena when a request starts, and the new part back when
it ends: a copy takes milliseconds where reading the tokens again takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakSet

import torch

__all__ = ["CacheShape", "KeyValueCache", "Segment", "truncate_segments"]


class Segment:
    """Keys and values of a stretch of tokens: [layers, 2, kv_heads, tokens, head_dim]. Immutable."""

    __slots__ = ("__weakref__", "holders", "keys_values")

    def __init__(self, keys_values: torch.Tensor, holders: WeakSet[KeyValueCache] | None = None) -> None:
        self.keys_values = keys_values
        self.holders: WeakSet[KeyValueCache] = WeakSet() if holders is None else holders
        """The sessions' caches that hold it, or one that was cut from it. Only counted: they may go in any thread."""

    @property
    def length(self) -> int:
        """Length of the stretch."""
        return int(self.keys_values.shape[3])

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in memory, and its length: the same for two segments that were cut from one at the same token."""
        return self.keys_values.data_ptr(), self.length

    @property
    def root(self) -> int:
        """Names the segment that it was cut from, always at its beginning; while it is held, no other has the name."""
        return id(self.holders)

    @property
    def nbytes(self) -> int:
        """Memory that the segment holds."""
        return self.keys_values.untyped_storage().nbytes()


class KeyValueCache:
    """Keys and values of the tokens that a session's last request has read.

    `key` names the forward pass (the controls' keys): the cache serves only requests with the same key.
    """

    __slots__ = ("__weakref__", "key", "segments", "tokens")

    def __init__(self, tokens: tuple[int, ...], segments: tuple[Segment, ...], key: str) -> None:
        self.tokens = tokens
        self.segments = segments
        self.key = key
        for segment in segments:
            segment.holders.add(self)

    def common_length(self, tokens: Sequence[int]) -> int:
        """Number of leading tokens that `tokens` shares with the cache."""
        for index, (mine, other) in enumerate(zip(self.tokens, tokens, strict=False)):
            if mine != other:
                return index
        return min(len(self.tokens), len(tokens))

    def drop(self) -> None:
        """Drop the tokens; the next request reads them again."""
        for segment in self.segments:
            segment.holders.discard(self)
        self.tokens, self.segments = (), ()


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Dimensions of a model's keys and values."""

    layers: int
    kv_heads: int
    head_dim: int


def truncate_segments(segments: Sequence[Segment], length: int) -> tuple[Segment, ...]:
    """The part of a chain that holds the first `length` tokens (shares memory)."""
    kept: list[Segment] = []
    for segment in segments:
        if length <= 0:
            break
        whole = segment.length <= length
        kept.append(segment if whole else Segment(segment.keys_values[:, :, :, :length], segment.holders))
        length -= segment.length
    return tuple(kept)
