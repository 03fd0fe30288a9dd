"""The memory of all caches: kept as a running total, whoever forgets a cache, and in whichever thread."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("torch")

import torch

from telic.models.local.cache import KeyValueCache, Segment, truncate_segments
from telic.models.local.cache_pool import CachePool

BYTES = 4 * 2 * 8
"""Of a segment's token."""


def segment(tokens: int = 1) -> Segment:
    return Segment(torch.zeros(1, 2, 1, tokens, 8))


def cache(*segments: Segment) -> KeyValueCache:
    return KeyValueCache((0,), segments, "")


def test_shared_and_shortened_segments_count_once_and_go_when_the_last_one_goes() -> None:
    pool = CachePool(1 << 20)
    whole = segment(4)
    caches = [cache(whole), cache(whole, segment()), cache(*truncate_segments([whole], 2))]
    for one in caches:
        pool.touch(one)
        pool.touch(one)
    assert pool.nbytes == 5 * BYTES
    del one
    del caches[1]
    assert pool.nbytes == 4 * BYTES
    del whole, caches[0]
    assert pool.nbytes == 4 * BYTES, "the shortened one holds all of it"
    caches.clear()
    assert pool.nbytes == 0
    assert len(pool._recent) == 0, "a cache that was forgotten leaves nothing behind"


def test_the_least_recently_used_is_dropped_first() -> None:
    pool = CachePool(3 * BYTES)
    caches = [cache(segment()) for _ in range(3)]
    for one in (*caches, caches[0]):
        pool.touch(one)
    caches.append(cache(segment()))
    pool.touch(caches[3])
    assert [len(one.segments) for one in caches] == [1, 0, 1, 1]
    caches.append(cache(segment(9)))
    pool.touch(caches[4])
    assert [len(one.segments) for one in caches] == [0, 0, 0, 0, 1], "the last one stays, even if it is too large"
    assert pool.nbytes == 9 * BYTES


def test_a_touch_does_not_look_at_other_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = CachePool(1 << 30)
    caches = [cache(segment()) for _ in range(1000)]
    for one in caches:
        pool.touch(one)
    looked_at: list[Segment] = []

    def nbytes(own: Segment) -> int:
        looked_at.append(own)
        return BYTES

    monkeypatch.setattr(Segment, "nbytes", property(nbytes))
    pool.touch(caches[0])
    pool.touch(cache(segment()))
    assert len({id(one) for one in looked_at}) <= 1


def test_caches_are_forgotten_in_other_threads() -> None:
    pool = CachePool(1 << 30)
    caches = [[cache(segment()) for _ in range(500)] for _ in range(4)]

    def forget(own: list[KeyValueCache]) -> None:
        while own:
            own.pop()

    for own in caches:
        for one in own:
            pool.touch(one)
    del one, own
    threads = [threading.Thread(target=forget, args=(own,)) for own in caches]
    for thread in threads:
        thread.start()
    kept = [cache(segment()) for _ in range(200)]
    for last in kept:
        pool.touch(last)
    for thread in threads:
        thread.join()
    assert pool.nbytes == len(kept) * BYTES
