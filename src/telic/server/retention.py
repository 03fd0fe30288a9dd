"""How long conversations are kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from telic.server.errors import ApiError
from telic.server.log import log_event

__all__ = ["delete_expired"]

CHECK_SECONDS = 3600.0
"""Time between two looks."""


async def delete_expired(delete_before: Callable[[float], Awaitable[int]], keep_days: int) -> None:
    """Delete conversations that are too old, again and again, until it is cancelled.

    Args:
        delete_before: deletes the conversations whose last turn is older than a time, in seconds since 1970; returns
            how many.
        keep_days: how long they are kept after their last turn.
    """
    while True:
        try:
            count = await delete_before(time.time() - 86_400 * keep_days)
        except ApiError:  # the store has logged it
            count = 0
        if count:
            log_event(logging.INFO, "expired", conversations=count, keep_days=keep_days)
        await asyncio.sleep(CHECK_SECONDS)
