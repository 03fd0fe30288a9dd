"""A session's cache: what a sequence takes over from it, and what is stored in it when the request ends."""

from __future__ import annotations

from collections.abc import Iterable

from telic.models.control import Control, ControlPoint
from telic.models.local.cache import Arena, KeyValueCache, truncate_segments
from telic.models.local.cache_pool import CachePool
from telic.models.local.sequences import Sequence

__all__ = ["control_key", "copy_cache", "reuse_cache", "update_cache"]


def reuse_cache(sequence: Sequence, pool: CachePool) -> None:
    """Take over what the session has read already, as far as the tokens agree."""
    cache = sequence.cache.key_values if sequence.cache else None
    if isinstance(cache, KeyValueCache) and cache.key == control_key(sequence.controls):
        # The last token is always computed: its logits start the reply.
        sequence.cached = min(cache.common_length(sequence.tokens), sequence.prompt_length - 1)
        sequence.reused = truncate_segments(cache.segments, sequence.cached)
        pool.touch(cache)


def update_cache(sequence: Sequence, arena: Arena, pool: CachePool) -> None:
    """Store what a sequence has read, and what its controls carry on, in its session's cache."""
    if sequence.cache is None:
        return
    before = sequence.control_state_before_prefix
    sequence.cache.control_state = sequence.context.control_state if before is None else before
    stored = sequence.cache_without_prefix or copy_cache(sequence, sequence.computed, arena)
    sequence.cache.key_values = stored
    pool.touch(stored)


def copy_cache(sequence: Sequence, length: int, arena: Arena) -> KeyValueCache:
    """Copy what was read of a sequence's first `length` tokens out of the arena."""
    # Where a fork holds the prefix as well, a copy would not free the original.
    merge = not (sequence.cache and sequence.cache.shares_key_values)
    segments = arena.store(sequence.slot, sequence.reused, length, merge=merge)
    return KeyValueCache(tuple(sequence.tokens[:length]), segments, control_key(sequence.controls))


def control_key(controls: Iterable[Control]) -> str:
    """Identify the forward pass under these controls by the keys of those that change keys and values.

    Controls that choose their prefix from the state leave nothing in the cache.
    """
    acting = (control for control in controls if control.points & _cached_points(control))
    return "|".join(key for control in acting if (key := control.key))  # empty: it only reads


def _cached_points(control: Control) -> frozenset[ControlPoint]:
    """The points at which a control changes keys and values that a session keeps."""
    return frozenset(
        {"attention", "residual"} if control.prefix_from_state else {"embeddings", "attention", "residual"}
    )
