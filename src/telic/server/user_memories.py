"""What a server remembers of its users: their memories, folded from the logs in the store as they are needed."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from telic.errors import DataError
from telic.memory import Memory, MemoryConfig, MemoryControl, MemoryEvent, Reason, new_event
from telic.memory.extractors.explicit import forget_requests
from telic.server.async_store import AsyncConversationStore
from telic.server.daemon_threads import DaemonThreads
from telic.server.errors import ApiError
from telic.server.log import log_event, log_failure
from telic.server.memory_log import MemoryLogs, events_of
from telic.server.records import NewTurns
from telic.server.reported_events import EventReport

__all__ = ["UserMemories"]

T = TypeVar("T")

MOST_EVENTS = 500_000
"""Events of all memories that are held at once; beyond it, the least recently used one is dropped."""
THREADS = 2
"""Memories that are folded at once."""


_TAKEN = {"purchase": True, "booking": True, "suggestion_accepted": True, "suggestion_rejected": False}
"""Kinds of reported events that are choices, and whether the user took what they name."""


@dataclass(slots=True)
class _Held:
    memory: Memory
    revision: str = ""
    last: int = 0


class UserMemories:
    """The memories of the users of one purpose.

    Args:
        store: the store with the logs.
        purpose: the purpose's name.
        config: what is remembered.
        drop_caches: called with the ids of a user's conversations, what was read of which must go.
    """

    def __init__(
        self,
        store: AsyncConversationStore,
        purpose: str,
        config: MemoryConfig,
        drop_caches: Callable[[list[str]], object],
    ) -> None:
        self.config, self.purpose = config, purpose
        self._store, self._drop_caches = store, drop_caches
        self._logs = MemoryLogs(store.blocking.engine)
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}
        self._threads = DaemonThreads(THREADS, "telic-memory")
        store.listeners.append(self._on_turns)

    def remembers(self, user: str) -> bool:
        """Whether this user is remembered."""
        return "/" in user or not self.config.named_users_only

    async def control(self, user: str, message: str, conversation: str) -> tuple[MemoryControl, ...]:
        """Make the control with the notes for a reply; none if there is nothing to say.

        A memory that cannot be read is logged, and the reply goes without it.
        """
        if not self.remembers(user) or not self.config.budget:
            return ()
        try:
            async with self._memory(user) as memory:
                notes = await self._in_thread(partial(memory.notes, message, source=conversation))
        except ApiError as error:
            log_failure("memory_failed", error.message)
            return ()
        return (MemoryControl(notes.text),) if notes.text else ()

    async def describe(self, user: str) -> dict[str, Any]:
        """Return everything believed of a user, as JSON types.

        Raises:
            ApiError: the store failed.
        """
        async with self._memory(user) as memory:
            return await self._in_thread(memory.describe)

    async def why(self, user: str, about: str = "") -> list[Reason]:
        """Return the evidence of what is or was believed (`Memory.why`).

        Raises:
            ApiError: the store failed.
        """
        async with self._memory(user) as memory:
            return await self._in_thread(partial(memory.why, about))

    async def events(self, user: str) -> list[MemoryEvent]:
        """Return a user's log.

        Raises:
            ApiError: the store failed.
        """
        async with self._memory(user) as memory:
            return memory.events

    async def observe(self, user: str, event: MemoryEvent, conversation: str | None = None) -> None:
        """Log something that the user did, in a conversation or set by hand.

        Raises:
            ApiError: the store failed.
        """
        if self.remembers(user):
            await self._store.run(partial(self._logs.append, user, self.purpose, [event], conversation))

    async def observe_edit(self, user: str, conversation: str, draft: str, text: str) -> None:
        """Log how a user changed a reply.

        Raises:
            ApiError: the store failed.
        """
        await self.observe(user, new_event("edit", text, conversation, draft=draft), conversation)

    async def observe_report(self, holder: str, report: EventReport) -> None:
        """Log an event that another system reported as a choice, if its value names what the user took or refused.

        Raises:
            ApiError: the store failed.
        """
        if report.kind not in _TAKEN or not isinstance(report.value, str) or not report.value.strip():
            return
        user = await self._store.run(partial(self._store.blocking.owner_of, holder, report.conversation))
        if user is not None:
            data = {"slot": "taste", "taken": _TAKEN[report.kind]}
            event = new_event("choice", report.value, report.conversation, time=report.time, **data)
            await self.observe(user, event, report.conversation)

    async def undo(self, user: str) -> bool:
        """Take back the latest event that made a claim; returns whether there was one.

        Raises:
            ApiError: the store failed.
        """
        async with self._memory(user) as memory:
            entry = memory.undo()
            if entry is not None:
                await self._store.run(partial(self._logs.append, user, self.purpose, [entry]))
            return entry is not None

    async def forget(self, user: str, about: str, request: str | None = None) -> int:
        """Forget something, or everything if `about` is empty; returns the number of messages that were removed.

        Raises:
            ApiError: the store failed.
        """
        async with self._memory(user) as memory:
            return await self._forget(user, memory, about, request)

    def drop(self, user: str) -> None:
        """Drop what is held of a user, and of the users that a holder's requests named."""
        for name in [one for one in self._held if one == user or one.startswith(f"{user}/")]:
            del self._held[name]

    def close(self, seconds: float) -> None:
        """End the threads."""
        self._threads.close(seconds)

    async def _forget(self, user: str, memory: Memory, about: str, request: str | None) -> int:
        plan = await self._in_thread(partial(memory.plan_forgetting, about, request))
        if not plan:
            return 0
        tombstone = new_event("forget", "", "api", events=list(plan.events))
        self._held.pop(user, None)
        await self._store.run(partial(self._remove, user, plan, tombstone))
        self._drop_caches(await self._store.run(partial(self._store.blocking.ids_of, user)))
        return len(plan.events) + len(plan.rewritten)

    def _remove(self, user: str, plan: Any, tombstone: MemoryEvent) -> None:
        self._logs.forget(user, self.purpose, plan, tombstone)
        self._store.blocking.empty_write_ahead_log()

    def _on_turns(self, new: NewTurns) -> None:
        """Obey what a user asked to forget in new turns."""
        if new.remembering != self.purpose:
            return
        requests = [one for event in events_of(new) for one in forget_requests(event)]
        if requests:
            self._store.run_in_background(self._obey(new.user, [(one.words, one.event) for one in requests]))

    async def _obey(self, user: str, requests: list[tuple[str, str]]) -> None:
        for about, event in requests:
            try:
                removed = await self.forget(user, about, event)
            except ApiError as error:
                log_failure("forgetting_failed", error.message)
            else:
                log_event(logging.INFO, "forgotten", messages=removed)

    @asynccontextmanager
    async def _memory(self, user: str) -> AsyncIterator[Memory]:
        """Yield a user's memory as it is now. One task at a time has it."""
        lock = self._locks.setdefault(user, asyncio.Lock())
        self._waiting[user] = self._waiting.get(user, 0) + 1
        try:
            async with lock:
                yield await self._current(user)
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user], self._locks[user]

    async def _current(self, user: str) -> Memory:
        held = self._held.get(user) or _Held(Memory(self.config))
        logged = await self._store.run(partial(self._logs.read, user, self.purpose, held.revision, held.last))
        if logged.revision != held.revision:
            held = _Held(Memory(self.config), logged.revision)
        before = len(held.memory.failures)
        await self._in_thread(partial(held.memory.extend, logged.events))
        held.last = logged.last
        for failure in held.memory.failures[before:]:
            log_event(logging.ERROR, "extraction_failed", extractor=failure.extractor, evidence=failure.event)
        self._held[user] = held
        self._held.move_to_end(user)
        total = sum(len(one.memory) for one in self._held.values())
        while total > MOST_EVENTS and len(self._held) > 1:
            total -= len(self._held.popitem(last=False)[1].memory)
        return held.memory

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DataError as error:
            raise ApiError(500, f"the memory is damaged: {error}") from None
