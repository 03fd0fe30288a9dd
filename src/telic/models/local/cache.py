"""Key-value caches: what a session keeps of the tokens it has read, and the arena in which a batch computes.

A session's cache is a chain of immutable segments. A fork shares the chain, so it costs nothing; a longer dialogue
adds a segment. The engine copies a chain into a slot of the arena when a request starts, and the new part back when
it ends: a copy takes milliseconds where reading the tokens again takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

__all__ = ["Arena", "CacheShape", "KeyValueCache", "Segment", "truncate_segments"]


class Segment:
    """Keys and values of a stretch of tokens: [layers, 2, kv_heads, tokens, head_dim]. Immutable."""

    __slots__ = ("__weakref__", "keys_values")

    def __init__(self, keys_values: torch.Tensor) -> None:
        self.keys_values = keys_values

    @property
    def length(self) -> int:
        """Length of the stretch."""
        return int(self.keys_values.shape[3])

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

    def common_length(self, tokens: Sequence[int]) -> int:
        """Number of leading tokens that `tokens` shares with the cache."""
        for index, (mine, other) in enumerate(zip(self.tokens, tokens, strict=False)):
            if mine != other:
                return index
        return min(len(self.tokens), len(tokens))

    def drop(self) -> None:
        """Drop the tokens; the next request reads them again."""
        self.tokens, self.segments = (), ()


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Dimensions of a model's keys and values."""

    layers: int
    kv_heads: int
    head_dim: int


GROWTH = 64
"""An arena's capacity is a multiple of this many positions."""


class Arena:
    """The batch's keys and values: [layers, 2, slots, kv_heads, capacity, head_dim].

    Each sequence has a slot; its position p is entry p there. The arena starts zeroed, so that entries that were never
    written are finite: their attention weight is 0, and 0 times anything finite is 0.

    It is hardly longer than its longest sequence, so that attention reads it whole: products in half precision would
    first copy keys and values with gaps between them, in every pass and layer. So it grows in small steps, each of
    which copies it once.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        self.dtype, self.device = dtype, device
        self.data = self._zeros(8, GROWTH)

    def _zeros(self, slots: int, capacity: int) -> torch.Tensor:
        s = self.shape
        return torch.zeros(s.layers, 2, slots, s.kv_heads, capacity, s.head_dim, dtype=self.dtype, device=self.device)

    @property
    def slots(self) -> int:
        """Sequences that fit."""
        return int(self.data.shape[2])

    @property
    def capacity(self) -> int:
        """Positions that fit in a slot."""
        return int(self.data.shape[4])

    def ensure(self, slots: int, capacity: int) -> None:
        """Make room for `slots` sequences of `capacity` positions; the contents stay."""
        if slots <= self.slots and capacity <= self.capacity:
            return
        self._lay_out(
            self.slots if slots <= self.slots else max(slots, 2 * self.slots),
            self.capacity if capacity <= self.capacity else capacity,
        )

    def shrink(self, longest: int) -> None:
        """Shrink, where all sequences are far shorter than there is room for."""
        if self.capacity > 2 * max(longest, GROWTH):
            self._lay_out(self.slots, longest)

    def read_length(self, length: int) -> int:
        """Choose how many positions to read where the longest sequence has `length`: all, if that is not many more."""
        return self.capacity if self.capacity <= length + length // 4 + GROWTH else length

    def _lay_out(self, slots: int, capacity: int) -> None:
        made = self._zeros(slots, -(-capacity // GROWTH) * GROWTH)
        kept = min(self.capacity, int(made.shape[4]))
        made[:, :, : self.slots, :, :kept] = self.data[:, :, :, :, :kept]
        self.data = made

    def load(self, slot: int, segments: Sequence[Segment], length: int) -> None:
        """Copy the first `length` tokens of a chain into a slot."""
        start = 0
        for segment in segments:
            take = min(segment.length, length - start)
            if take <= 0:
                return
            self.data[:, :, slot, :, start : start + take] = segment.keys_values[:, :, :, :take]
            start += take

    def store(self, slot: int, start: int, end: int) -> Segment:
        """Copy positions [start, end) of a slot out of the arena."""
        return Segment(self.data[:, :, slot, :, start:end].clone(memory_format=torch.contiguous_format))

    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero all but the first `live[slot]` positions of each slot, where a failed sequence may have left NaN."""
        for slot in range(self.slots):
            self.data[:, :, slot, :, live.get(slot, 0) :] = 0

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot to another one."""
        if length:  # a sequence that has read nothing may have a slot that does not exist yet
            self.data[:, :, target, :, :length] = self.data[:, :, source, :, :length]


def truncate_segments(segments: Sequence[Segment], length: int) -> tuple[Segment, ...]:
    """The part of a chain that holds the first `length` tokens (shares memory)."""
    kept: list[Segment] = []
    for segment in segments:
        if length <= 0:
            break
        kept.append(segment if segment.length <= length else Segment(segment.keys_values[:, :, :, :length]))
        length -= segment.length
    return tuple(kept)
