"""Limits on the load of a server: active requests, in total and per key, and tokens per minute."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from telic.server.config import ServeConfig
from telic.server.errors import ApiError

__all__ = ["Limits"]

MAX_RETRY_AFTER = 60
"""Longest `Retry-After`, in seconds."""


class Limits:
    """Refuses requests beyond the limits, and tells the client when to try again.

    Args:
        config: the limits.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, config: ServeConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._active: Counter[str] = Counter()
        self._seconds = 1.0
        """Moving average of the duration of a request."""
        self._spent: dict[str, tuple[float, float]] = {}
        """For each key: the balance of its tokens, which decays with time, and when it was updated."""

    @property
    def active(self) -> int:
        """Number of active requests."""
        return self._active.total()

    @contextmanager
    def admit(self, holder: str) -> Iterator[None]:
        """Admit a request of a key's holder, which is active for as long as the context lasts.

        Raises:
            ApiError: 429, with the header Retry-After.
        """
        config = self._config
        if self._excess(holder) > 0:
            rate = config.tokens_per_minute / 60
            raise _too_many_requests(
                f"more than {config.tokens_per_minute} tokens per minute", self._excess(holder) / rate
            )
        if self._active[holder] >= config.max_requests_per_key:
            raise _too_many_requests(f"this key has {config.max_requests_per_key} active requests", self._seconds)
        if self.active >= config.max_requests:
            raise _too_many_requests(f"the server has {config.max_requests} active requests", self._seconds)
        self._active[holder] += 1
        start = self._clock()
        try:
            yield
        finally:
            self._active[holder] -= 1
            self._active += Counter()  # removes keys at zero
            self._seconds += 0.1 * (self._clock() - start - self._seconds)

    def spend(self, holder: str, tokens: int) -> None:
        """Count tokens that were computed for a key's holder."""
        if self._config.tokens_per_minute:
            self._spent[holder] = (self._balance(holder) + tokens, self._clock())

    def _excess(self, holder: str) -> float:
        """Count the tokens beyond those of one minute."""
        return self._balance(holder) - self._config.tokens_per_minute if self._config.tokens_per_minute else 0.0

    def _balance(self, holder: str) -> float:
        spent, time_ = self._spent.get(holder, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - time_) * self._config.tokens_per_minute / 60)


def _too_many_requests(reason: str, seconds: float) -> ApiError:
    wait = min(max(1, math.ceil(seconds)), MAX_RETRY_AFTER)
    return ApiError(
        429,
        f"too many requests: {reason}; try again in {wait} s",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(wait)},
    )
