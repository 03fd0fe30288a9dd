"""The conversation store in an event loop: transactions run in threads, and their failures become API errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from telic.episodes import Episode
from telic.errors import DataError, RunError
from telic.server.annotations import Annotations
from telic.server.consents import Consents
from telic.server.daemon_threads import DaemonThreads
from telic.server.errors import ApiError
from telic.server.log import log_failure
from telic.server.records import ConversationSummary, HistoryMatch, NewTurns, StoredConversation
from telic.server.reported_events import EventConflictError, EventReport, ReportedEvents
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
        self.last_write_failed = False
        """Whether the latest turns could not be stored."""
        self._annotations = Annotations(store.engine)
        self._events = ReportedEvents(store.engine)
        self._threads = DaemonThreads(1 if store.is_sqlite else THREADS, "telic-store")
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

    async def defence_actions(self, user: str, conversations: Sequence[str]) -> set[tuple[str, str]]:
        """Return which defences did what in these conversations of a user: pairs of a name and an action.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.defence_actions, user, conversations))

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

    async def exported(self, user: str) -> AsyncGenerator[Episode, None]:
        """Read the conversations of a user as episodes, in a thread beside those of the transactions.

        Raises:
            ApiError: the store failed.
        """
        episodes, thread = self.episodes(user), DaemonThreads(1, "telic-export")
        try:
            while (episode := await self._query(partial(next, episodes, None), thread)) is not None:
                yield episode
        finally:
            thread.shutdown(wait=False)

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
            log_failure("store_failed", cause_of(error), conversation=new.conversation)
            self.last_write_failed = True
            raise ApiError(503, "the turn could not be stored; try again later") from error
        self.last_write_failed = False
        for listener in self.listeners:
            listener(new)

    async def check(self) -> None:
        """Check that the store answers, and after a failure that it can be written to again.

        Raises:
            ApiError: the store failed.
        """
        await self._query(partial(self.blocking.check, write=self.last_write_failed))
        self.last_write_failed = False

    async def annotate(self, add: Callable[[Annotations], None]) -> None:
        """Add feedback, readings or probe branches to a turn.

        Raises:
            ApiError: there is no such turn, the annotation is invalid, or the store failed.
        """
        try:
            await self._query(partial(add, self._annotations))
        except (RunError, DataError) as error:
            raise ApiError(400, str(error)) from None

    async def add_event(self, owner: str, report: EventReport) -> Literal["stored", "known"]:
        """Store an event (`ReportedEvents.add`); it is on disk when this returns.

        Raises:
            ApiError: there is no such reply, another event has the same id, or the store failed.
        """
        try:
            return await self._query(partial(self._events.add, owner, report))
        except EventConflictError as error:
            raise ApiError(409, str(error), code="event_conflict", param="id") from None
        except RunError as error:
            raise ApiError(404, str(error), code="conversation_not_found", param="conversation") from None

    async def delete(self, user: str) -> list[str]:
        """Delete everything stored about a user; returns the ids of the deleted conversations.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.delete, user))

    async def delete_before(self, time: float) -> list[str]:
        """Delete the conversations whose last turn is older than a time (`ConversationStore.delete_before`).

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(self.blocking.delete_before, time))

    async def set_consent(self, user: str, learn: bool | None) -> None:
        """Store whether the conversations of a user may be learnt from (`Consents.set`).

        Raises:
            ApiError: the store failed.
        """
        await self._query(partial(Consents(self.blocking.engine).set, user, learn))

    async def consent(self, user: str) -> bool | None:
        """Return whether a user has consented or objected; None for neither.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(partial(Consents(self.blocking.engine).get, user))

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function that uses the store, in its threads.

        Raises:
            ApiError: the store failed.
        """
        return await self._query(work)

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine that no caller has to wait for; `drain` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def complete(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, also if the caller is cancelled meanwhile; `drain` waits for it too."""
        await asyncio.shield(self.run_in_background(work))

    async def drain(self, seconds: float) -> int:
        """Wait for all background work, no longer than this; returns how much was not done."""
        end = time.monotonic() + seconds
        while self._background and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._background, timeout=left)
        return len(self._background)

    def close(self, seconds: float) -> None:
        """Wait for the transactions that have begun, no longer than this, and close the store."""
        self._threads.close(seconds)
        self.blocking.close()

    async def _in_thread(self, work: Callable[[], T], threads: DaemonThreads | None = None) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads or self._threads, work)

    async def _query(self, work: Callable[[], T], threads: DaemonThreads | None = None) -> T:
        try:
            return await self._in_thread(work, threads)
        except SQLAlchemyError as error:
            log_failure("store_failed", cause_of(error))
            raise ApiError(503, "the conversation store does not respond; try again later") from error


def cause_of(error: SQLAlchemyError) -> str:
    """Say what a database refused, without the values, which are what users said."""
    if isinstance(error, DBAPIError):
        lines = str(error.orig).strip().splitlines()
        return f"{type(error.orig).__name__}: {lines[0] if lines else ''}"
    return type(error).__name__
