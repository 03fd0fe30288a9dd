"""A queue in which clients take turns, so that one with many items does not keep the others waiting."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["BACKGROUND", "FairQueue"]

T = TypeVar("T")

BACKGROUND = "\0background"
"""The client whose turn comes only if no other waits. No user can have this name."""


class FairQueue(Generic[T]):
    """A queue of the items of several clients. The items of one client stay in their order.

    A client that joins the queue goes behind those already waiting. Once it has had its turn, it goes to the end.
    `BACKGROUND` waits for all others.
    """

    def __init__(self) -> None:
        self._by_client: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._by_client.values()))

    def __bool__(self) -> bool:
        return bool(self._by_client)

    def __iter__(self) -> Iterator[T]:
        """Yield all items, client by client."""
        for items in self._by_client.values():
            yield from items

    def append(self, client: str, item: T) -> None:
        """Add an item of a client."""
        self._by_client.setdefault(client, deque()).append(item)

    @property
    def first(self) -> T:
        """The item whose turn it is."""
        return self._by_client[self._next_client][0]

    @property
    def _next_client(self) -> str:
        """The client whose turn it is."""
        return next((client for client in self._by_client if client != BACKGROUND), BACKGROUND)

    def popleft(self) -> T:
        """Remove and return the item whose turn it is."""
        client = self._next_client
        items = self._by_client.pop(client)
        item = items.popleft()
        if items:
            self._by_client[client] = items
        return item

    def remove(self, client: str, item: T) -> bool:
        """Remove an item of a client; returns whether it was there."""
        items = self._by_client.get(client)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._by_client[client]
        return True

    def clear(self) -> None:
        """Remove all items."""
        self._by_client.clear()
