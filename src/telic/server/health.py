"""Whether a server answers requests: its engine and its store, looked at once a second at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from telic.server.errors import ApiError

__all__ = ["Health"]

CACHE_SECONDS = 1.0
"""How long an answer counts."""
CHECK_SECONDS = 2.0
"""Time for the store to answer."""


class Health:
    """Finds out which parts of a server fail.

    Args:
        engine_is_alive: whether requests are answered.
        check_store: raises an `ApiError` if the store fails.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        engine_is_alive: Callable[[], bool],
        check_store: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine_is_alive, self._check_store, self._clock = engine_is_alive, check_store, clock
        self._check: asyncio.Task[bool] | None = None
        self._store_is_alive, self._time = True, float("-inf")

    async def failing(self) -> list[str]:
        """Return the names of the parts that fail: `engine`, `store`."""
        if self._clock() - self._time >= CACHE_SECONDS:
            await self._look()
        parts = {"engine": self._engine_is_alive(), "store": self._store_is_alive}
        return [name for name, alive in parts.items() if not alive]

    async def _look(self) -> None:
        """Check the store. A check that takes too long goes on, and no other begins meanwhile."""
        if self._check is None or self._check.done():
            self._check = asyncio.get_running_loop().create_task(self._store_answers())
        check = self._check
        done, _ = await asyncio.wait([check], timeout=CHECK_SECONDS)
        self._store_is_alive, self._time = bool(done) and check.result(), self._clock()

    async def _store_answers(self) -> bool:
        with suppress(ApiError):  # the store has logged it
            await self._check_store()
            return True
        return False
