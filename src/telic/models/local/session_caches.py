"""A session's cache: what a sequence takes over from it, and what is stored in it when the request ends."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from itertools import takewhile

from telic.models.control import Control, ControlPoint
from telic.models.local.arena import Arena
from telic.models.local.cache import KeyValueCache, Segment, truncate_segments
from telic.models.local.cache_pool import CachePool
from telic.models.local.sequences import Sequence
from telic.models.request import Request
from telic.models.session_cache import SessionCache

__all__ = ["cache_of", "control_key", "copy_cache", "reusable_length", "reuse_cache", "update_cache"]


def cache_of(request: Request, number: int) -> SessionCache | None:
    """The session's cache for one of a request's prompts: 0 is its own, the others are the contrast prompts."""
    return request.cache.contrast_cache(number - 1) if request.cache and number else request.cache


def reuse_cache(sequence: Sequence, pool: CachePool) -> None:
    """Take over what the session has read already, as far as the tokens agree."""
    cache = sequence.cache.key_values if sequence.cache else None
    common = reusable_length(sequence.cache, sequence.tokens, sequence.controls)
    if common and isinstance(cache, KeyValueCache):
        # The last token is always computed: its logits start the reply.
        sequence.cached = min(common, sequence.prompt_length - 1)
        sequence.reused = truncate_segments(cache.segments, sequence.cached)
        pool.touch(cache)


def reusable_length(cache: SessionCache | None, tokens: Tokens[int], controls: Iterable[Control]) -> int:
    """Number of leading tokens whose keys and values a session has, as these controls make them."""
    held = cache.key_values if cache else None
    if isinstance(held, KeyValueCache) and held.key == control_key(controls):
        return held.common_length(tokens)
    return 0


def update_cache(sequence: Sequence, arena: Arena, pool: CachePool) -> None:
    """Store what a sequence has read, and what its controls carry on, in its session's cache."""
    if sequence.cache is None:
        return
    before = sequence.control_state_before_prefix
    sequence.cache.control_state = sequence.context.control_state if before is None else before
    stored = sequence.cache_without_prefix or copy_cache(sequence, sequence.computed, arena)
    sequence.cache.store(stored)
    pool.touch(stored)


def copy_cache(sequence: Sequence, length: int, arena: Arena) -> KeyValueCache:
    """Copy what was read of a sequence's first `length` tokens out of the arena."""
    segments = arena.store(sequence.slot, _kept(sequence, arena), length)
    return KeyValueCache(tuple(sequence.tokens[:length]), segments, control_key(sequence.controls))


def _kept(sequence: Sequence, arena: Arena) -> tuple[Segment, ...]:
    """The segments that the session goes on with; what comes after them is copied into one.

    Where prefixes are shared, attention takes one product for each segment, so it is faster if there are few. But a
    copy of a segment that other sessions hold as well would not free the original.
    """
    if not arena.has_prefix(len(sequence.tokens)) or (sequence.cache and sequence.cache.shares_key_values):
        return sequence.reused
    return tuple(takewhile(lambda segment: len(segment.holders) > 1, sequence.reused))


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
