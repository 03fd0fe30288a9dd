"""The conversation store in an event loop: transactions run in threads, and their failures become API errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from telic.episodes import Episode
from telic.errors import DataError, RunError
from telic.server.annotations import Annotations
from telic.server.errors import ApiError
from telic.server.records import ConversationSummary, HistoryMatch, NewTurns, StoredConversation
from telic.server.store import ConflictError, ConversationStore

__all__ = ["AsyncConversationStore"]

T = TypeVar("T")

THREADS = 4
"""Concurrent transactions; SQLite has one writer."""


class AsyncConversationStore:
    """The conversation store as a server uses it.

    Args:
        store: the store.
    """

    def __init__(self, store: ConversationStore) -> None:
        self.blocking = store
        """The same store, for use in a thread."""
        self.listeners: list[Callable[[NewTurns], None]] = []
        """Each is called in the event loop after turns were stored."""
        self._annotations = Annotations(store.engine)
        self._threads = ThreadPoolExecutor(1 if store.is_sqlite else THREADS, thread_name_prefix="telic-store")
        self._background: set[asyncio.Task[None]] = set()

    @property
    def location(self) -> str:
        """The file or address, without a password."""
        return self.blocking.location

    async def find(self, user: str, digests: Sequence[str], conversation: str | None = None) -> list[HistoryMatch]:
        """Find the conversations of a user that begin with a history (`ConversationStore.find`).

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.find, user, digests, conversation))

    async def has(self, user: str, conversation: str) -> bool:
        """Return whether a user has a conversation of this id.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.has, user, conversation))

    async def conversation(self, user: str, conversation: str) -> StoredConversation | None:
        """Read a conversation with its annotations; returns None if the user has no such conversation.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.conversation, user, conversation))

    async def recent(self, user: str, words: str = "") -> list[ConversationSummary]:
        """List a user's own conversations, latest first; only those with all of these words, if any.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.recent, user, words=words))

    async def delete_family(self, user: str, conversation: str) -> list[str]:
        """Delete a conversation with its branches (`ConversationStore.delete_family`).

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.delete_family, user, conversation))

    def episodes(self, user: str | None = None) -> Iterator[Episode]:
        """Read conversations as episodes. This blocks: iterate in a thread."""
        return self.blocking.episodes(user)

    async def add(self, new: NewTurns) -> None:
        """Store turns; they are on disk when this returns.

        Raises:
            ApiError: the conversation changed meanwhile, or the store failed.
        """
        try:
            await self._in_thread(partial(self.blocking.add, new))
        except ConflictError as error:
            raise ApiError(409, str(error), code="conversation_changed") from None
        except SQLAlchemyError as error:
            raise ApiError(503, "the turn could not be stored; try again later") from error
        for listener in self.listeners:
            listener(new)

    async def annotate(self, add: Callable[[Annotations], None]) -> None:
        """Add feedback, readings or probe branches to a turn.

        Raises:
            ApiError: there is no such turn, the annotation is invalid, or the store failed.
        """
        try:
            await self._query(partial(add, self._annotations))
        except (RunError, DataError) as error:
            raise ApiError(400, str(error)) from None

    async def delete(self, user: str) -> list[str]:
        """Delete everything stored about a user; returns the ids of the deleted conversations.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.delete, user))

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that no caller waits for; `drain` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def drain(self) -> None:
        """Wait for all background work."""
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    async def close(self) -> None:
        """Wait for all transactions, and close the store."""
        await asyncio.to_thread(self._threads.shutdown)
        self.blocking.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _query(self, work: Callable[[], T]) -> T:
        try:
            return await self._in_thread(work)
        except SQLAlchemyError as error:
            raise ApiError(503, "the conversation store does not respond; try again later") from error
