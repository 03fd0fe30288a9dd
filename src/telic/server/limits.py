"""How much a server takes on: requests under way, in all and per key, and tokens per minute."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from telic.server.config import ServeConfig
from telic.server.problems import ApiError

__all__ = ["Limits"]

LONGEST_WAIT = 60
"""Seconds: no client is told to stay away for longer."""


class Limits:
    """Refuses what would be too much, and says when to come again.

    Args:
        config: the limits.
        clock: seconds that only go forward.
    """

    def __init__(self, config: ServeConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._under_way: Counter[str] = Counter()
        self._seconds = 1.0
        """How long a request takes, as of late."""
        self._spent: dict[str, tuple[float, float]] = {}
        """Per key: tokens beyond what the time since has made good, and when that was so."""

    @property
    def under_way(self) -> int:
        """Requests being answered."""
        return self._under_way.total()

    @contextmanager
    def enter(self, holder: str) -> Iterator[None]:
        """Take a request in, for as long as the context lasts.

        Raises:
            ApiError: 429, with the header Retry-After.
        """
        config = self._config
        if self._owed(holder) > 0:
            rate = config.tokens_per_minute / 60
            raise _too_much(f"more than {config.tokens_per_minute} tokens per minute", self._owed(holder) / rate)
        if self._under_way[holder] >= config.max_requests_per_key:
            raise _too_much(f"{config.max_requests_per_key} requests of this key are under way", self._seconds)
        if self.under_way >= config.max_requests:
            raise _too_much(f"{config.max_requests} requests are under way", self._seconds)
        self._under_way[holder] += 1
        began = self._clock()
        try:
            yield
        finally:
            self._under_way[holder] -= 1
            self._under_way += Counter()  # forget those at zero
            self._seconds += 0.1 * (self._clock() - began - self._seconds)

    def spend(self, holder: str, tokens: int) -> None:
        """Count tokens that were computed for a key."""
        if self._config.tokens_per_minute:
            self._spent[holder] = (self._balance(holder) + tokens, self._clock())

    def _owed(self, holder: str) -> float:
        """Tokens beyond a minute's worth."""
        return self._balance(holder) - self._config.tokens_per_minute if self._config.tokens_per_minute else 0.0

    def _balance(self, holder: str) -> float:
        spent, then = self._spent.get(holder, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - then) * self._config.tokens_per_minute / 60)


def _too_much(what: str, seconds: float) -> ApiError:
    wait = min(max(1, math.ceil(seconds)), LONGEST_WAIT)
    return ApiError(
        429,
        f"too many requests: {what}; try again in {wait} s",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(wait)},
    )
