"""The memory of all sessions' caches, kept within a budget."""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from typing import Any

from telic.models.local.cache import KeyValueCache, Segment

__all__ = ["CachePool"]


class CachePool:
    """Keeps the caches of all sessions within a budget; the least recently used is dropped first.

    A session may be forgotten in any thread. So what has gone is only noted then, and counted at the next use.

    Args:
        budget: bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._recent: OrderedDict[weakref.ref[KeyValueCache], None] = OrderedDict()
        self._storage_of: dict[weakref.ref[Segment], int] = {}
        """Address of each segment's memory: one that was cut short shares that of the whole one."""
        self._storages: dict[int, list[int]] = {}
        """By address: the number of segments, and bytes."""
        self._held = 0
        self._gone: deque[weakref.ref[Any]] = deque()

    @property
    def nbytes(self) -> int:
        """Memory held by live segments, shared ones counted once."""
        self._count_gone()
        return self._held

    def touch(self, cache: KeyValueCache) -> None:
        """Record that a cache was made or used, and drop the least recently used ones until the budget holds."""
        self._count_gone()
        self._recent.pop(weakref.ref(cache), None)
        self._recent[weakref.ref(cache, self._gone.append)] = None
        for segment in cache.segments:
            self._count(segment)
        while self._held > self.budget and len(self._recent) > 1:
            oldest = self._recent.popitem(last=False)[0]()
            if oldest is not None:
                oldest.drop()
            del oldest
            self._count_gone()

    def _count(self, segment: Segment) -> None:
        if weakref.ref(segment) in self._storage_of:
            return
        address = segment.keys_values.untyped_storage().data_ptr()
        self._storage_of[weakref.ref(segment, self._gone.append)] = address
        if address in self._storages:
            self._storages[address][0] += 1
        else:
            self._storages[address] = [1, segment.nbytes]
            self._held += segment.nbytes

    def _count_gone(self) -> None:
        while self._gone:
            gone = self._gone.popleft()
            self._recent.pop(gone, None)
            address = self._storage_of.pop(gone, None)
            if address is None:
                continue
            storage = self._storages[address]
            storage[0] -= 1
            if not storage[0]:
                self._held -= storage[1]
                del self._storages[address]
