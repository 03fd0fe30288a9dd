"""Slots of one length: the storage of an arena on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from telic.models.local.cache import CacheShape, Segment
from telic.models.local.memory import release_free_memory
from telic.models.local.storage import GROWTH, Entries, Storage, rounded

__all__ = ["SlotEntries", "SlotStorage"]


@dataclass(slots=True, kw_only=True)
class SlotEntries(Entries):
    """What a pass reads of consecutive slots, those in between that are not part of it included."""

    slots: slice

    def read(self, keys: torch.Tensor) -> torch.Tensor:
        """Return the slots themselves if all that they have room for is read, else a copy."""
        return keys[self.slots, :, : self.length].reshape(-1, self.length, keys.shape[-1])


class SlotStorage(Storage):
    """One tensor for each layer, in which all slots are equally long: [2, slots, kv_heads, capacity, head_dim].

    The slots are hardly longer than the longest sequence, so that attention reads them whole: products in half
    precision would first copy keys and values with gaps between them, in every pass and layer. So they grow in small
    steps, each of which copies them once, layer by layer.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(shape, dtype, device, places=1)

    @property
    def slots(self) -> int:
        """Sequences that fit."""
        return int(self.layers[0].shape[1])

    @property
    def capacity(self) -> int:
        """Entries that fit in a slot."""
        return int(self.layers[0].shape[3])

    def bytes_for(self, lengths: Sequence[int]) -> int:
        """Count all slots as long as the longest."""
        return self.entry_bytes * len(lengths) * rounded(max(lengths, default=0))

    def prepare(self, written: Mapping[int, tuple[int, int]]) -> None:
        """Let the slots become as many and as long as these."""
        self._ensure(1 + max(written), max(end for _, end in written.values()))

    def entries(self, rows: Sequence[tuple[int, int, int]], *, write: bool) -> SlotEntries:
        """Take the slots from the first to the last of the rows."""
        slots = [slot for slot, *_ in rows]
        first, last = min(slots), max(slots)
        longest = max(end for *_, end in rows)
        made = SlotEntries(self._read_length(longest), last + 1 - first, slots=slice(first, last + 1))
        if slots != list(range(first, last + 1)):
            made.index_R = self.long(slot - first for slot in slots)
        if write:
            place_N = self.long(slot for slot, start, end in rows for _ in range(start, end))
            made.written_N = place_N, self.long(entry for _, start, end in rows for entry in range(start, end))
        return made

    def load(self, slot: int, segments: Sequence[Segment]) -> None:
        """Copy the segments into the slot."""
        self._ensure(slot + 1, sum(segment.length for segment in segments))
        start = 0
        for segment in segments:
            for layer, keys_values in zip(self.layers, segment.keys_values, strict=True):
                layer[:, slot, :, start : start + segment.length] = keys_values
            start += segment.length

    def copy_out(self, slot: int, start: int, target: torch.Tensor) -> None:
        """Copy a part of the slot."""
        for made, layer in zip(target, self.layers, strict=True):
            made[:] = layer[:, slot, :, start : start + made.shape[2]]

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the entries."""
        self._ensure(target + 1, length)
        for layer in self.layers:
            layer[:, target, :, :length] = layer[:, source, :, :length]

    def release(self, slot: int) -> None:
        """Leave the slot as it is: the next sequence overwrites what it reads."""

    def release_all(self) -> None:
        """Leave the slots as they are."""

    def shrink(self, lengths: Mapping[int, int]) -> None:
        """Shrink, where all sequences are far shorter, or far fewer, than there is room for."""
        slots = max(lengths, default=0) + 1
        capacity = max([GROWTH, *lengths.values()])
        if self.capacity > 2 * capacity or self.slots > 2 * slots:
            self._lay_out(
                min(slots, self.slots) if self.slots > 2 * slots else self.slots,
                capacity if self.capacity > 2 * capacity else self.capacity,
            )
            release_free_memory(self.device)

    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero the rest of each slot."""
        for slot in range(self.slots):
            for layer in self.layers:
                layer[:, slot, :, live.get(slot, 0) :] = 0

    def _ensure(self, slots: int, capacity: int) -> None:
        """Make room for `slots` sequences of `capacity` entries; the contents stay."""
        if slots > self.slots or capacity > self.capacity:
            slots = self.slots if slots <= self.slots else max(slots, self.slots + self.slots // 4)
            self._lay_out(slots, max(capacity, self.capacity))

    def _read_length(self, length: int) -> int:
        """Choose how many entries to read where the longest sequence has `length`: all, if that is not many more."""
        if not length:
            return 0
        return self.capacity if self.capacity <= length + length // 4 + GROWTH else length

    def _lay_out(self, slots: int, capacity: int) -> None:
        capacity = rounded(capacity)
        kept, kept_slots = min(self.capacity, capacity), min(self.slots, slots)
        for layer, old in enumerate(self.layers):
            made = self.zeros(slots, capacity)
            made[:, :kept_slots, :, :kept] = old[:, :kept_slots, :, :kept]
            self.layers[layer] = made
