"""Which blocks each slot of a paged arena has. Only their numbers; `block_storage` has their contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from telic.models.local.cache import Segment
from telic.models.local.storage import GROWTH

__all__ = ["BlockSource", "BlockTable", "block_sources", "blocks_of"]


@dataclass(frozen=True, slots=True)
class BlockSource:
    """What a whole block is a copy of: equal for parts of segments that are at the same place in memory."""

    parts: tuple[tuple[int, int, int], ...]
    """(segment's memory, first token, end)."""
    segments: tuple[Segment, ...] = field(compare=False)
    """They are held, so that no other one gets their memory."""


class BlockTable:
    """Gives out blocks, each to one slot or, until one of them writes to it, to several.

    Block 0 is never given out: it stays zero, and fills the rows of a pass up to the longest.
    """

    def __init__(self) -> None:
        self.size = 1
        """Blocks that there are, block 0 included."""
        self._blocks: dict[int, list[int]] = {}
        self._free: list[int] = []
        self._holders: dict[int, int] = {}
        """By block in use: the number of slots that have it."""
        self._sources: dict[int, BlockSource] = {}
        self._copies: dict[BlockSource, int] = {}
        """By source: the block that is a copy of it, and was not written to."""

    def blocks(self, slot: int) -> Sequence[int]:
        """The blocks of a slot, in the order of its entries."""
        return self._blocks.get(slot, ())

    @property
    def used(self) -> int:
        """Blocks that slots have."""
        return len(self._holders)

    @property
    def free(self) -> int:
        """Blocks that can be given out."""
        return len(self._free)

    def extend(self, size: int) -> None:
        """Get more blocks, so that there are `size`."""
        self._free += range(self.size, size)
        self.size = size

    def missing(self, slot: int, start: int, end: int) -> int:
        """Count the blocks that `own` takes, at most."""
        blocks, needed = self.blocks(slot), blocks_of(end)
        shared = sum(self._holders[block] > 1 for block in blocks[start // GROWTH : needed])
        return max(needed - len(blocks), 0) + shared

    def own(self, slot: int, start: int, end: int) -> list[tuple[int, int]]:
        """Give a slot blocks of its own for what is written next, the entries from `start` to `end`.

        Returns:
            (from, to): the contents to be copied of blocks that other slots have as well.
        """
        blocks = self._blocks.setdefault(slot, [])
        copied = []
        for place in range(start // GROWTH, min(len(blocks), blocks_of(end))):
            block = blocks[place]
            if self._holders[block] > 1:
                self._holders[block] -= 1
                blocks[place] = self._take()
                copied.append((block, blocks[place]))
            else:
                self._forget_source(block)
        blocks += [self._take() for _ in range(blocks_of(end) - len(blocks))]
        return copied

    def begin(self, slot: int, sources: Sequence[BlockSource]) -> int:
        """Let an empty slot begin with the blocks that are copies of these sources, up to the first without one.

        Returns:
            Their number.
        """
        found = [self._copies[source] for source in takewhile(self._copies.__contains__, sources)]
        self._add(slot, found)
        return len(found)

    def note_sources(self, slot: int, sources: Sequence[BlockSource]) -> None:
        """Note what the blocks with which a slot begins are copies of."""
        for block, source in zip(self.blocks(slot), sources, strict=False):
            if source not in self._copies:
                self._copies[source] = block
                self._sources[block] = source

    def share(self, source: int, target: int, length: int) -> None:
        """Let an empty slot begin with the first `length` entries of another one."""
        self._add(target, self.blocks(source)[: blocks_of(length)])

    def release(self, slot: int) -> None:
        """Take the blocks of a slot back, as far as no other one has them."""
        for block in self._blocks.pop(slot, ()):
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                self._forget_source(block)
                self._free.append(block)

    def release_all(self) -> None:
        """Take all blocks back."""
        for slot in list(self._blocks):
            self.release(slot)

    def compact(self, size: int) -> list[int]:
        """Number the blocks anew, so that those in use come first, and keep `size`.

        Returns:
            The old numbers, in the order of the new ones; block 0 stays the first.
        """
        order = [0, *sorted(self._holders)]
        assert len(order) <= size <= self.size
        new = {old: number for number, old in enumerate(order)}
        self._blocks = {slot: [new[block] for block in blocks] for slot, blocks in self._blocks.items()}
        self._holders = {new[block]: count for block, count in self._holders.items()}
        self._sources = {new[block]: source for block, source in self._sources.items()}
        self._copies = {source: block for block, source in self._sources.items()}
        self.size, self._free = size, list(range(len(order), size))
        return order

    def live_entries(self, live: Mapping[int, int]) -> dict[int, int]:
        """Count the entries of each block that some slot needs, of which the first `live[slot]` are needed."""
        found: dict[int, int] = {}
        for slot, length in live.items():
            for place, block in enumerate(self.blocks(slot)):
                found[block] = max(found.get(block, 0), min(length - place * GROWTH, GROWTH))
        return found

    def _add(self, slot: int, blocks: Sequence[int]) -> None:
        assert slot not in self._blocks
        for block in blocks:
            self._holders[block] += 1
        self._blocks[slot] = list(blocks)

    def _take(self) -> int:
        block = self._free.pop()
        self._holders[block] = 1
        return block

    def _forget_source(self, block: int) -> None:
        source = self._sources.pop(block, None)
        if source is not None:
            del self._copies[source]


def blocks_of(length: int) -> int:
    """Count the blocks that hold `length` entries."""
    return -(-length // GROWTH)


def block_sources(segments: Sequence[Segment]) -> list[BlockSource]:
    """Find what the whole blocks of a slot that begins with these segments are copies of."""
    whole = sum(segment.length for segment in segments) // GROWTH
    parts: list[list[tuple[int, int, int]]] = [[] for _ in range(whole)]
    held: list[list[Segment]] = [[] for _ in range(whole)]
    start = 0
    for segment in segments:
        for block in range(start // GROWTH, min(blocks_of(start + segment.length), whole)):
            first, end = block * GROWTH - start, (block + 1) * GROWTH - start
            parts[block].append((segment.root, max(first, 0), min(end, segment.length)))
            held[block].append(segment)
        start += segment.length
    return [BlockSource(tuple(part), tuple(each)) for part, each in zip(parts, held, strict=True)]
