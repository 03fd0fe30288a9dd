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
        self._usage: dict[str, tuple[float, float]] = {}
        """For each holder: tokens used, less what the limit has granted since, and the time of that count."""

    @property
    def active_count(self) -> int:
        """Number of active requests."""
        return self._active.total()

    @contextmanager
    def admit(self, holder: str) -> Iterator[None]:
        """Admit a request of a key's holder, which is active for as long as the context lasts.

        Raises:
            ApiError: 429, with the header Retry-After.
        """
        config = self._config
        if self._tokens_over_limit(holder) > 0:
            rate = config.tokens_per_minute / 60
            raise _too_many_requests(
                f"more than {config.tokens_per_minute} tokens per minute", self._tokens_over_limit(holder) / rate
            )
        if self._active[holder] >= config.max_requests_per_key:
            raise _too_many_requests(f"this key has {config.max_requests_per_key} active requests", self._seconds)
        if self.active_count >= config.max_requests:
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
            self._usage[holder] = (self._used_tokens(holder) + tokens, self._clock())

    def _tokens_over_limit(self, holder: str) -> float:
        """Return how many tokens the holder is above the limit of one minute."""
        return self._used_tokens(holder) - self._config.tokens_per_minute if self._config.tokens_per_minute else 0.0

    def _used_tokens(self, holder: str) -> float:
        used, time_ = self._usage.get(holder, (0.0, 0.0))
        return max(0.0, used - (self._clock() - time_) * self._config.tokens_per_minute / 60)


def _too_many_requests(reason: str, seconds: float) -> ApiError:
    wait = min(max(1, math.ceil(seconds)), MAX_RETRY_AFTER)
    return ApiError(
        429,
        f"too many requests: {reason}; try again in {wait} s",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(wait)},
    )
