"""Which version replies in which conversation, for as long as the conversation is under way."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable

from telic.server.served_version import ServedVersion

__all__ = ["ConversationVersions"]

LARGEST = 100_000
"""Conversations that are known at once; beyond it, the one with the oldest request is forgotten."""


class ConversationVersions:
    """The versions of the conversations that are under way, by the time of their last request.

    Args:
        seconds: after so long without a request, a conversation is no longer under way.
        busy: conversations with an active reply; they are under way however long it takes.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, seconds: float, busy: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._busy, self._clock = seconds, busy, clock
        self._known: OrderedDict[str, tuple[ServedVersion, float]] = OrderedDict()
        self._counts: Counter[ServedVersion] = Counter()

    def get(self, conversation: str | None, *, begins: bool = False) -> ServedVersion | None:
        """Return the version of a conversation; None if it is not under way.

        Args:
            conversation: id of the conversation.
            begins: whether it is busy only with the request that asks.
        """
        if conversation is None or conversation not in self._known:
            return None
        version, last = self._known[conversation]
        fresh = self._clock() - last < self._seconds
        return version if fresh or (not begins and conversation in self._busy) else None

    def set(self, conversation: str, version: ServedVersion) -> None:
        """Note a request that a version answers."""
        self.drop([conversation])
        self._known[conversation] = version, self._clock()
        self._counts[version] += 1
        if len(self._known) > LARGEST:
            self.drop([next(iter(self._known))])

    def count(self, version: ServedVersion) -> int:
        """Return in how many conversations a version replies."""
        return self._counts[version]

    def forget_old(self, withdrawn: Collection[ServedVersion] = ()) -> None:
        """Forget the conversations that are no longer under way.

        Args:
            withdrawn: versions that reply to nobody any more, but for the replies that are active.
        """
        now = self._clock()
        if withdrawn:
            self.drop([name for name, (version, _) in self._known.items() if version in withdrawn and self._idle(name)])
        while self._known:
            name, (version, last) = next(iter(self._known.items()))
            if now - last < self._seconds:
                return
            self.drop([name])
            if not self._idle(name):
                self.set(name, version)

    def drop(self, conversations: Iterable[str]) -> None:
        """Forget conversations."""
        for name in conversations:
            if (known := self._known.pop(name, None)) is not None:
                self._counts[known[0]] -= 1
                if not self._counts[known[0]]:
                    del self._counts[known[0]]  # it would keep a closed version, and its model, in memory

    def _idle(self, conversation: str) -> bool:
        return conversation not in self._busy
