"""Blocks: the storage of an arena on a GPU, whose memory is what is used (after vLLM's PagedAttention).

The keys and values of a slot are in blocks of 32 entries, anywhere in the tensor of a layer. A pass copies the blocks
of its rows into a padded tensor, of one layer's keys or values at a time. So attention is still one product over all
rows, and the padding is there for one layer only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from telic.models.local.block_table import BlockTable, block_sources, blocks_of
from telic.models.local.cache import CacheShape, Segment
from telic.models.local.memory import release_free_memory
from telic.models.local.storage import GROWTH, Entries, Storage, rounded

__all__ = ["BlockEntries", "BlockStorage"]


@dataclass(slots=True, kw_only=True)
class BlockEntries(Entries):
    """What a pass reads of blocks: those of each row, and block 0 up to the longest row."""

    block_N: torch.Tensor
    """Row after row and head after head, the blocks of the row: places among all heads of all blocks."""

    def read(self, keys: torch.Tensor) -> torch.Tensor:
        """Copy the blocks, row after row."""
        dim = keys.shape[-1]
        return keys.view(-1, GROWTH * dim).index_select(0, self.block_N).view(-1, self.length, dim)


class BlockStorage(Storage):
    """One tensor of blocks for each layer: [2, blocks, kv_heads, 32, head_dim].

    Slots share blocks while none of them writes to them: those that were copied from the same segments, and those of
    sequences with the same prompt.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(shape, dtype, device, places=1)
        self.table = BlockTable()

    def bytes_for(self, lengths: Sequence[int]) -> int:
        """Count every sequence's blocks, as if none were shared, and the padded copy of one layer's keys or values."""
        blocks = GROWTH * (1 + sum(map(blocks_of, lengths)))
        padded = len(lengths) * rounded(max(lengths, default=0))
        return self.entry_bytes * blocks + self.entry_bytes // (2 * self.shape.layers) * padded

    def prepare(self, written: Mapping[int, tuple[int, int]]) -> None:
        """Give each slot blocks of its own for what is written to it."""
        self._make_room(sum(self.table.missing(slot, *span) for slot, span in written.items()))
        copied = [pair for slot, span in written.items() for pair in self.table.own(slot, *span)]
        if copied:
            source, target = (self.long(blocks) for blocks in zip(*copied, strict=True))
            for layer in self.layers:
                layer[:, target] = layer[:, source]

    def entries(self, rows: Sequence[tuple[int, int, int]], *, write: bool) -> BlockEntries:
        """Take the blocks of the rows."""
        each = blocks_of(max(end for *_, end in rows))
        tables = [self.table.blocks(slot)[:each] for slot, *_ in rows]
        block_R_B = self.long(b for table in tables for b in (*table, *[0] * (each - len(table)))).view(len(rows), each)
        head_KV = torch.arange(self.shape.kv_heads, device=self.device)
        block_R_KV_B = block_R_B[:, None] * self.shape.kv_heads + head_KV[:, None]
        made = BlockEntries(each * GROWTH, len(rows), block_N=block_R_KV_B.flatten())
        if write:
            written = [(table, entry) for table, (_, *span) in zip(tables, rows, strict=True) for entry in range(*span)]
            place_N = self.long(table[entry // GROWTH] for table, entry in written)
            made.written_N = place_N, self.long(entry % GROWTH for _, entry in written)
        return made

    def load(self, slot: int, segments: Sequence[Segment]) -> None:
        """Share the blocks of slots that began with the same segments, and copy the rest."""
        length, sources = sum(segment.length for segment in segments), block_sources(segments)
        shared = GROWTH * self.table.begin(slot, sources)
        self._make_room(blocks_of(length - shared))
        self.table.own(slot, shared, length)
        self.table.note_sources(slot, sources)
        start = 0
        for segment in segments:
            new = max(shared - start, 0)
            if new < segment.length:
                place_N, entry_N = self._places(slot, start + new, start + segment.length)
                for layer, keys_values in zip(self.layers, segment.keys_values, strict=True):
                    layer[:, place_N, :, entry_N] = keys_values[:, :, new:].permute(2, 0, 1, 3)
            start += segment.length

    def copy_out(self, slot: int, start: int, target: torch.Tensor) -> None:
        """Collect the entries from the slot's blocks."""
        place_N, entry_N = self._places(slot, start, start + target.shape[3])
        for made, layer in zip(target, self.layers, strict=True):
            made[:] = layer[:, place_N, :, entry_N].permute(1, 2, 0, 3)

    def copy(self, source: int, target: int, length: int) -> None:
        """Share the blocks; who writes to one first gets a copy of it."""
        self.table.share(source, target, length)

    def release(self, slot: int) -> None:
        """Take back the slot's blocks."""
        self.table.release(slot)

    def release_all(self) -> None:
        """Take back all blocks."""
        self.table.release_all()

    def shrink(self, lengths: Mapping[int, int]) -> None:
        """Move the blocks in use together, where there are more than twice as many as are needed."""
        size = 1 + max(sum(map(blocks_of, lengths.values())), self.table.used, 1)
        if self.table.size > 2 * size:
            self._lay_out(size, self.long(self.table.compact(size)))

    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero what no slot needs of each block."""
        kept = self.table.live_entries(live)
        kept_B = self.long(kept.get(block, 0) for block in range(self.table.size))
        stale_B_G = torch.arange(GROWTH, device=self.device) >= kept_B[:, None]
        for layer in self.layers:
            layer.masked_fill_(stale_B_G[:, None, :, None], 0)

    def _places(self, slot: int, start: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the blocks of a slot's entries from `start` to `end`, and their places in them."""
        entry_N = torch.arange(start, end, device=self.device)
        return self.long(self.table.blocks(slot))[entry_N // GROWTH], entry_N % GROWTH

    def _make_room(self, blocks: int) -> None:
        """Have so many blocks free; if there are not, there will be an eighth more in all, or what is short."""
        short = blocks - self.table.free
        if short > 0:
            size = self.table.size + max(short, self.table.size // 8)
            self._lay_out(size, slice(self.table.size))
            self.table.extend(size)

    def _lay_out(self, size: int, order: slice | torch.Tensor) -> None:
        for number, old in enumerate(self.layers):
            kept = old[:, order]
            made = self.zeros(size, GROWTH)
            made[:, : kept.shape[1]] = kept
            self.layers[number] = made
        release_free_memory(self.device)  # PyTorch keeps the old tensors' memory, and no larger one fits into it
