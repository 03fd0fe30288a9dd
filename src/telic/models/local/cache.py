"""Key-value caches: what a session keeps of the tokens it has read, and the arena in which a batch computes.

A session's cache is a chain of immutable segments. A fork shares the chain, so it costs nothing; a longer dialogue
adds a segment. The engine copies a chain into a slot of the arena when a request starts, and the new part back when
it ends: a copy takes milliseconds where reading the tokens again takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import torch

from telic.models.local.memory import release_free_memory

__all__ = ["Arena", "CacheShape", "KeyValueCache", "Segment", "truncate_segments"]


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


GROWTH = 32
"""An arena's capacity is a multiple of this many positions."""
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

    A layer's slots are one tensor, [2, slots, kv_heads, capacity, head_dim]. It starts zeroed, so that entries that
    were never written are finite: their attention weight is 0, and 0 times anything finite is 0.

    The slots are hardly longer than the longest sequence, so that attention reads them whole: products in half
    precision would first copy keys and values with gaps between them, in every pass and layer. So they grow in small
    steps, each of which copies them once, layer by layer.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        self.dtype, self.device = dtype, device
        on_cpu = LONG_PROMPT if dtype.itemsize < 4 else 0
        self._prefix_from = on_cpu if device.type == "cpu" else sys.maxsize
        self.layers = [self._zeros(1, GROWTH) for _ in range(shape.layers)]
        self._prefixes: dict[int, tuple[Segment, ...]] = {}

    def _zeros(self, slots: int, capacity: int) -> torch.Tensor:
        s = self.shape
        return torch.zeros(2, slots, s.kv_heads, capacity, s.head_dim, dtype=self.dtype, device=self.device)

    def _empty(self, tokens: int) -> torch.Tensor:
        s = self.shape
        return torch.empty(s.layers, 2, s.kv_heads, tokens, s.head_dim, dtype=self.dtype, device=self.device)

    @property
    def slots(self) -> int:
        """Sequences that fit."""
        return int(self.layers[0].shape[1])

    @property
    def capacity(self) -> int:
        """Positions that fit in a slot, those of its prefix left out."""
        return int(self.layers[0].shape[3])

    @property
    def token_bytes(self) -> int:
        """Memory of one token's keys and values."""
        return 2 * self.shape.layers * self.shape.kv_heads * self.shape.head_dim * self.dtype.itemsize

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
        entries = apart = 0
        for prompt, read, reply in sequences:
            if not self.has_prefix(prompt):
                entries = max(entries, prompt + reply)
                continue
            new = prompt - read
            entries = max(entries, min(new, SHORT_REST) + reply)
            apart += new if new > SHORT_REST else 0
        return self.token_bytes * (len(sequences) * _rounded(entries) + apart)

    def prepare(self, chunks: Sequence[tuple[int, int, int, int]]) -> list[Segment | None]:
        """Prepare for what comes next: positions [start, end) of the sequences in these slots.

        Args:
            chunks: (slot, start, end, number of tokens that the sequence has so far).

        Returns:
            For each a new segment for its keys and values; None where they go into the slot.
        """
        made: list[Segment | None] = []
        longest = 0
        for slot, start, end, tokens in chunks:
            length = self.prefix_length(slot)
            if start < length:  # the prompt has changed: a prefix was inserted into it
                self._prefixes[slot] = truncate_segments(self.prefix(slot), start)
                length = start
            long = tokens - start > SHORT_REST and end - start > 1
            if self.has_prefix(tokens) and start == length and long:
                made.append(Segment(self._empty(end - start)))
            else:
                made.append(None)
                longest = max(longest, end - length)
        self.ensure(1 + max(slot for slot, *_ in chunks), longest)
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

    def ensure(self, slots: int, capacity: int) -> None:
        """Make room for `slots` sequences of `capacity` positions; the contents stay."""
        if slots > self.slots or capacity > self.capacity:
            slots = self.slots if slots <= self.slots else max(slots, self.slots + self.slots // 4)
            self._lay_out(slots, max(capacity, self.capacity))

    def shrink(self, lengths: Mapping[int, int]) -> None:
        """Shrink, where all sequences are far shorter, or far fewer, than there is room for.

        Args:
            lengths: by slot, the length of its sequence.
        """
        slots = max(lengths, default=0) + 1
        longest = max((length - self.prefix_length(slot) for slot, length in lengths.items()), default=0)
        capacity = max(longest, GROWTH)
        if self.capacity > 2 * capacity or self.slots > 2 * slots:
            self._lay_out(
                min(slots, self.slots) if self.slots > 2 * slots else self.slots,
                capacity if self.capacity > 2 * capacity else self.capacity,
            )
            release_free_memory()

    def read_length(self, length: int) -> int:
        """Choose how many positions to read where the longest sequence has `length`: all, if that is not many more."""
        return self.capacity if self.capacity <= length + length // 4 + GROWTH else length

    def _lay_out(self, slots: int, capacity: int) -> None:
        capacity = _rounded(capacity)
        kept, kept_slots = min(self.capacity, capacity), min(self.slots, slots)
        for layer, old in enumerate(self.layers):
            made = self._zeros(slots, capacity)
            made[:, :kept_slots, :, :kept] = old[:, :kept_slots, :, :kept]
            self.layers[layer] = made

    def load(self, slot: int, segments: Sequence[Segment], length: int, tokens: int) -> None:
        """Let a slot begin with the first `length` tokens of a chain, for a sequence that has so many tokens in all."""
        self._prefixes.pop(slot, None)
        chain = truncate_segments(segments, length)
        if self.has_prefix(tokens):
            self._prefixes[slot] = chain
            return
        self.ensure(slot + 1, length)
        start = 0
        for segment in chain:
            for layer, keys_values in zip(self.layers, segment.keys_values, strict=True):
                layer[:, slot, :, start : start + segment.length] = keys_values
            start += segment.length

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
        chain = self.prefix(slot)
        held = self.prefix_length(slot)
        for number, layer in enumerate(self.layers):
            parts = [segment.keys_values[number] for segment in chain]
            if length > held:
                parts.append(layer[:, slot])
            at = 0
            for part in parts:
                first, last = max(at, start), min(at + part.shape[2], length)
                if first < last:
                    made[number][:, :, first - start : last - start] = part[:, :, first - at : last - at]
                at += part.shape[2]
        return (*reused, Segment(made))

    def release(self, slot: int) -> None:
        """Let go of the prefix of a sequence that has ended."""
        self._prefixes.pop(slot, None)

    def release_all(self) -> None:
        """Let go of the prefixes of all sequences."""
        self._prefixes.clear()

    def scrub(self, live: Mapping[int, int]) -> None:
        """Zero all but the first `live[slot]` positions of each slot, where a failed sequence may have left NaN."""
        for slot in range(self.slots):
            kept = max(live.get(slot, 0) - self.prefix_length(slot), 0)
            for layer in self.layers:
                layer[:, slot, :, kept:] = 0

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot to another one."""
        self._prefixes.pop(target, None)
        if not length:  # a sequence that has read nothing may have a slot that does not exist yet
            return
        self._prefixes[target] = truncate_segments(self.prefix(source), length)
        own = length - self.prefix_length(target)
        if not own:
            return
        self.ensure(target + 1, own)
        for layer in self.layers:
            layer[:, target, :, :own] = layer[:, source, :, :own]


def _rounded(capacity: int) -> int:
    return -(-capacity // GROWTH) * GROWTH


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
