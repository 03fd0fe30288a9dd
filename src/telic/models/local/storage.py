"""Where an arena keeps the keys and values that are a slot's own; the base of its two kinds.

Both kinds keep a layer in one tensor, [2, places, kv_heads, entries, head_dim], so that attention reads and writes them
in the same way. A place is a whole slot (`telic.models.local.slot_storage`) or a block, of which a slot has several
(`telic.models.local.block_storage`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from telic.models.local.cache import CacheShape, Segment

__all__ = ["GROWTH", "Entries", "Storage", "rounded"]

GROWTH = 32
"""Slots are a multiple of so many entries long; a block has so many."""


@dataclass(slots=True)
class Entries(ABC):
    """What a pass reads and writes of the slots of R rows: made once, and used in every layer."""

    length: int
    """L: entries read of each sequence, padding included; 0 reads none."""
    count: int
    """Sequences that are read."""
    index_R: torch.Tensor | None = None
    """Each row's place among them; None where they are the rows."""
    written_N: tuple[torch.Tensor, torch.Tensor] | None = None
    """Where the new keys and values go: the places, and the entries in them."""

    def write(self, keys: torch.Tensor, new_KV_N_D: torch.Tensor) -> None:
        """Write the new keys, or values, of a layer: `keys` is [places, kv_heads, entries, head_dim]."""
        assert self.written_N is not None
        place_N, entry_N = self.written_N
        keys[place_N, :, entry_N] = new_KV_N_D.transpose(0, 1)

    @abstractmethod
    def read(self, keys: torch.Tensor) -> torch.Tensor:
        """Return the keys, or values, of a layer: [count * kv_heads, L, head_dim], sequence after sequence."""


class Storage(ABC):
    """Keys and values of the slots of an arena.

    It starts zeroed, so that entries that were never written are finite: their attention weight is 0, and 0 times
    anything finite is 0.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device, places: int) -> None:
        self.shape, self.dtype, self.device = shape, dtype, device
        self.layers = [self.zeros(places, GROWTH) for _ in range(shape.layers)]
        """By layer: [2, places, kv_heads, entries, head_dim]."""

    def zeros(self, places: int, entries: int) -> torch.Tensor:
        """Make room for one layer."""
        s = self.shape
        return torch.zeros(2, places, s.kv_heads, entries, s.head_dim, dtype=self.dtype, device=self.device)

    def long(self, values: Iterable[int]) -> torch.Tensor:
        """Make indices on the device."""
        return torch.tensor(list(values), dtype=torch.long, device=self.device)

    @property
    def entry_bytes(self) -> int:
        """Memory of one entry in all layers: one token's keys and values."""
        return 2 * self.shape.layers * self.shape.kv_heads * self.shape.head_dim * self.dtype.itemsize

    @abstractmethod
    def bytes_for(self, lengths: Sequence[int]) -> int:
        """Forecast the memory of a batch whose slots have so many entries. It may hold more for a while."""

    @abstractmethod
    def prepare(self, written: Mapping[int, tuple[int, int]]) -> None:
        """Make room for what a pass writes; the contents stay.

        Args:
            written: by slot, the first entry that is written, and the end.
        """

    @abstractmethod
    def entries(self, rows: Sequence[tuple[int, int, int]], *, write: bool) -> Entries:
        """Find what a pass reads and writes of some rows, for which `prepare` has made room.

        Args:
            rows: for each its slot, the first entry that it computes, and the end.
            write: whether the new keys and values go into the slots.
        """

    @abstractmethod
    def load(self, slot: int, segments: Sequence[Segment]) -> None:
        """Let a slot begin with what is in these segments."""

    @abstractmethod
    def copy_out(self, slot: int, start: int, target: torch.Tensor) -> None:
        """Copy the entries from `start` on to `target`, [layers, 2, kv_heads, entries, head_dim]."""

    @abstractmethod
    def copy(self, source: int, target: int, length: int) -> None:
        """Let a slot, which is empty, begin with the first `length` entries of another one."""

    @abstractmethod
    def release(self, slot: int) -> None:
        """Empty a slot."""

    @abstractmethod
    def release_all(self) -> None:
        """Empty all slots."""

    @abstractmethod
    def shrink(self, lengths: Mapping[int, int]) -> None:
        """Give memory back, where there is far more than these slots, with so many entries each, need."""

    @abstractmethod
    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero all but the first `live[slot]` entries of each slot, where a failed sequence may have left NaN."""


def rounded(length: int) -> int:
    """Round up to a multiple of `GROWTH`."""
    return -(-length // GROWTH) * GROWTH
