"""The arena: keys and values of all sequences of the batch, each of which has a slot."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import torch

from telic.models.local.block_storage import BlockStorage
from telic.models.local.cache import CacheShape, Segment, truncate_segments
from telic.models.local.slot_storage import SlotStorage
from telic.models.local.storage import Storage

__all__ = ["Arena"]

SHORT_REST = 64
"""While more of a prompt is left to read, it goes into segments of its own, so that it does not lengthen the slots of
all others."""
LONG_PROMPT = 512
"""Tokens from which on a prompt in half precision begins with a prefix."""


class Arena:
    """The batch's keys and values.

    Each sequence has a slot. It may begin with a *prefix*: segments that it shares with the session and with the
    session's branches. Only what comes after the prefix is in the slot itself: position p of a sequence whose prefix
    has n tokens is entry p - n there. On a CPU in float32, all prompts have a prefix. In half precision one product
    over all slots is much faster than one for each prefix, unless a long prompt makes all slots long; so only long
    prompts have one, the others are copied into the slots, and n is 0. On a GPU all are copied.

    Args:
        shape: of the model's keys and values.
        dtype: their type.
        device: that of the model.
        paged: whether slots consist of blocks (`BlockStorage`) instead of being equally long (`SlotStorage`), and no
            sequence has a prefix; by default on a GPU.
    """

    def __init__(
        self, shape: CacheShape, dtype: torch.dtype, device: torch.device, *, paged: bool | None = None
    ) -> None:
        self.shape, self.dtype, self.device = shape, dtype, device
        on_cpu = device.type == "cpu"
        self.paged = not on_cpu if paged is None else paged
        self.storage: Storage = (BlockStorage if self.paged else SlotStorage)(shape, dtype, device)
        self._prefix_from = sys.maxsize
        if on_cpu and not self.paged:
            self._prefix_from = LONG_PROMPT if dtype.itemsize < 4 else 0
        self._prefixes: dict[int, tuple[Segment, ...]] = {}

    @property
    def layers(self) -> list[torch.Tensor]:
        """What is in the slots, by layer: [2, places, kv_heads, entries, head_dim]."""
        return self.storage.layers

    @property
    def token_bytes(self) -> int:
        """Memory of one token's keys and values."""
        return self.storage.entry_bytes

    def prefix(self, slot: int) -> tuple[Segment, ...]:
        """The segments with which a slot begins."""
        return self._prefixes.get(slot, ())

    def prefix_places(self, slot: int) -> tuple[tuple[int, int], ...]:
        """Where the segments of a slot's prefix are: the same for slots that share it."""
        return tuple(segment.place for segment in self.prefix(slot))

    def prefix_length(self, slot: int) -> int:
        """Tokens of a slot's prefix."""
        return sum(segment.length for segment in self.prefix(slot))

    def has_prefix(self, tokens: int) -> bool:
        """Whether a sequence with a prompt of this many tokens begins with segments instead of a copy of them."""
        return tokens >= self._prefix_from

    def has_long_prefix(self, slot: int) -> bool:
        """Whether a slot's prefix is so long that others should not be padded to it."""
        return self.prefix_length(slot) >= LONG_PROMPT

    def bytes_for(self, sequences: Sequence[tuple[int, int, int]]) -> int:
        """Memory that a batch needs. Slots grow in steps and shrink late, so the arena may hold more for a while.

        Args:
            sequences: for each, the tokens of its prompt, those of them that its session has read, and those of its
                reply.
        """
        entries, apart = [], 0
        for prompt, read, reply in sequences:
            new = prompt - read if self.has_prefix(prompt) else prompt
            if self.has_prefix(prompt) and new > SHORT_REST:
                apart += new
                new = SHORT_REST
            entries.append(new + reply)
        return self.storage.bytes_for(entries) + self.token_bytes * apart

    def prepare(self, chunks: Sequence[tuple[int, int, int, int]]) -> list[Segment | None]:
        """Prepare for what comes next: positions [start, end) of the sequences in these slots.

        Args:
            chunks: (slot, start, end, number of tokens that the sequence has so far).

        Returns:
            For each a new segment for its keys and values; None where they go into the slot.
        """
        made: list[Segment | None] = []
        written: dict[int, tuple[int, int]] = {}
        for slot, start, end, tokens in chunks:
            length = self.prefix_length(slot)
            if start < length:  # the prompt has changed: a prefix was inserted into it
                self._prefixes[slot] = truncate_segments(self.prefix(slot), start)
                length = start
            long = tokens - start > SHORT_REST and end - start > 1
            if self.has_prefix(tokens) and start == length and long:
                made.append(Segment(self._empty(end - start)))
                written[slot] = 0, 0
            else:
                made.append(None)
                written[slot] = start - length, end - length
        self.storage.prepare(written)
        return made

    def extend_prefix(self, slot: int, segment: Segment) -> None:
        """Add a segment that was computed to a slot's prefix.

        It is joined with those before it that no session holds and that are no longer, so that a prompt that is read
        in many small chunks has few.
        """
        chain = self.prefix(slot)
        while chain and not chain[-1].holders and chain[-1].length <= segment.length:
            segment = Segment(torch.cat([chain[-1].keys_values, segment.keys_values], dim=3))
            chain = chain[:-1]
        self._prefixes[slot] = (*chain, segment)

    def load(self, slot: int, segments: Sequence[Segment], length: int, tokens: int) -> None:
        """Let a slot begin with the first `length` tokens of a chain, for a sequence that has so many tokens in all."""
        self.release(slot)
        chain = truncate_segments(segments, length)
        if self.has_prefix(tokens):
            self._prefixes[slot] = chain
        else:
            self.storage.load(slot, chain)

    def store(self, slot: int, reused: tuple[Segment, ...], length: int) -> tuple[Segment, ...]:
        """Copy the first `length` positions of a sequence out of the arena, as far as `reused` does not hold them.

        Args:
            slot: of the sequence.
            reused: what the session has kept already and goes on with.
            length: positions to keep.
        """
        start = sum(segment.length for segment in reused)
        if length <= start:
            return reused
        made = self._empty(length - start)
        at = 0
        for segment in self.prefix(slot):
            first, last = max(at, start), min(at + segment.length, length)
            if first < last:
                part = segment.keys_values[:, :, :, first - at : last - at]
                made[:, :, :, first - start : last - start] = part
            at += segment.length
        if length > at:
            first = max(at, start)
            self.storage.copy_out(slot, first - at, made[:, :, :, first - start :])
        return (*reused, Segment(made))

    def copy(self, source: int, target: int, length: int) -> None:
        """Let a slot begin with the first `length` positions of another one."""
        self.release(target)
        if not length:  # a sequence that has read nothing may have a slot that does not exist yet
            return
        self._prefixes[target] = truncate_segments(self.prefix(source), length)
        own = length - self.prefix_length(target)
        if own:
            self.storage.copy(source, target, own)

    def release(self, slot: int) -> None:
        """Let go of a sequence that has ended."""
        self._prefixes.pop(slot, None)
        self.storage.release(slot)

    def release_all(self) -> None:
        """Let go of all sequences."""
        self._prefixes.clear()
        self.storage.release_all()

    def shrink(self, lengths: Mapping[int, int]) -> None:
        """Give memory back, where there is far more than these sequences need.

        Args:
            lengths: by slot, the length of its sequence.
        """
        self.storage.shrink(self._own(lengths))

    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero all but the first `live[slot]` positions of each slot, where a failed sequence may have left NaN."""
        self.storage.scrub(self._own(live))

    def _own(self, lengths: Mapping[int, int]) -> dict[int, int]:
        """Lengths without those of the prefixes."""
        return {slot: max(length - self.prefix_length(slot), 0) for slot, length in lengths.items()}

    def _empty(self, tokens: int) -> torch.Tensor:
        s = self.shape
        return torch.empty(s.layers, 2, s.kv_heads, tokens, s.head_dim, dtype=self.dtype, device=self.device)
