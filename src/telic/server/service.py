"""A purpose that is served: its parts, and their life cycle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Sequence

from telic.errors import ConfigError, TelicError
from telic.judges import model_judges
from telic.judges.limits import judged_limits
from telic.memory import MemoryConfig
from telic.models import Control, Model, load
from telic.promotion import PromotedPurpose
from telic.promotion.records import BASE
from telic.promotion.serving import model_settings
from telic.purpose import Purpose
from telic.server.async_store import AsyncConversationStore
from telic.server.canary import ServedCanary, choose_candidate
from telic.server.chat_handler import ChatHandler
from telic.server.chat_request import ChatRequest
from telic.server.config import ServeConfig
from telic.server.conversation_versions import ConversationVersions
from telic.server.exchange import Exchange
from telic.server.health import Health
from telic.server.limits import Limits
from telic.server.log import log_event
from telic.server.metrics import Metrics
from telic.server.promotion_watch import PromotionWatch, RefusedVersion
from telic.server.records import NewTurns
from telic.server.retention import delete_expired
from telic.server.served_version import ServedVersion, SharedParts
from telic.server.store import ConversationStore
from telic.server.turn_builder import StoreTarget
from telic.server.user_memories import UserMemories

__all__ = ["Service"]

LAST_SECONDS = 1.0
"""Time to store interrupted replies and to end the worker when requests have used up `shutdown_seconds`."""
CLOSE_SECONDS = 0.3
"""Time for the transactions that have begun."""


class Service:
    """A model that serves one purpose to many users, with the store of their conversations.

    Args:
        model: the model that replies.
        purpose: the purpose to serve.
        config: limits, and what is stored.
        controls: controls of every conversation; by default the purpose's own.
        release: the version that is served, with its siblings; needed for a canary and to follow promotions.
        fixed_model: whether no version may bring another model, because this one was named beside the purpose.

    Raises:
        ConfigError: the purpose names an unknown control or defence; the store cannot be opened.
        UnsupportedControlError: the model does not support a control or a reading.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        config: ServeConfig,
        controls: Sequence[Control] | None = None,
        release: PromotedPurpose | None = None,
        *,
        fixed_model: bool = False,
    ) -> None:
        self.config, self._controls, self._fixed_model = config, controls, fixed_model
        self._end: float | None = None
        self.created = int(time.time())
        self.store = AsyncConversationStore(ConversationStore(config.store))
        self.versions = release.versions if release else None
        self.limits, self.metrics = Limits(config), Metrics()
        remembered = MemoryConfig.of_purpose(purpose)
        self.memories: UserMemories | None = None
        """What is remembered of the users; None if the purpose has no table `[memory]`."""
        if remembered is not None:
            self.memories = UserMemories(self.store, purpose.name, remembered, self._drop_sessions)
        self._shared = SharedParts(config, self.store, self.metrics, self.memories)
        version = release.version if release else BASE
        try:
            first = ServedVersion(model, purpose, version, self._shared, controls)
        except BaseException:
            self.store.close(CLOSE_SECONDS)
            raise
        self.loaded: list[ServedVersion] = [first]
        """The versions in memory."""
        self._superseded: list[ServedVersion] = []
        """Those that another one was promoted over: conversations under way keep them."""
        self.conversations = ConversationVersions(60 * config.keep_version_minutes, self._shared.busy)
        self._use(first)
        self.metrics.version_served.labels(self.version).set(1)
        self.canary = self._make_canary(release) if release else None
        self.watch = None if release is None or release.named else PromotionWatch(release, self, self.metrics)
        """Follows promotions; None if the version was named, or there are none."""
        self._tasks: list[asyncio.Task[None]] = []
        self.health = Health(lambda: self.alive, self.store.check)
        self.store.listeners.append(self._count_turns)

    def _use(self, version: ServedVersion) -> None:
        """Make a version that of new conversations. Its parts change together: nothing else runs meanwhile."""
        self.served = version
        """The version that new conversations get."""
        self.purpose, self.version = version.purpose, version.version
        self.runner, self.sessions, self.controls = version.runner, version.sessions, version.controls
        self.beliefs, self.probes, self.chat = version.beliefs, version.probes, version.chat
        self.defence_states, self._defended = version.defence_states, version.defended

    async def start(self) -> None:
        """Start the threads, and let a local model read the system prompt.

        Raises:
            ModelError: the model cannot read the system prompt.
        """
        for version in self.loaded:
            await version.start()
        loop = asyncio.get_running_loop()
        if self.canary is not None:
            self._tasks.append(loop.create_task(self.canary.watch()))
        if self.watch is not None:
            self._tasks.append(loop.create_task(self.watch.watch()))
        if self.config.keep_days is not None:
            self._tasks.append(loop.create_task(delete_expired(self._delete_before, self.config.keep_days)))

    async def begin(
        self,
        user: str,
        body: ChatRequest,
        conversation: str | None = None,
        *,
        canary: bool = True,
        pin_controls: Sequence[Control] | None = None,
        readings: Iterable[str] = (),
    ) -> Exchange:
        """Begin an exchange with the version of its conversation; see `ChatHandler.begin`.

        Args:
            user: the user.
            body: the request.
            conversation: id of the conversation, if the client names it.
            canary: whether the user may get the candidate of a canary.
            pin_controls: the pins of this reply; by default those of the conversation.
            readings: readings to take of this reply, besides those of the configuration.
        """

        def choose(target: StoreTarget) -> ChatHandler:
            kept = self._kept_by(target.parent) if target.new else self._kept_by(target.conversation, begins=True)
            candidate = self._candidate_of(user) if canary else None
            version = kept or candidate or self.served
            self.conversations.set(target.conversation, version)
            for other in self.loaded:  # what it knows of the conversation is out of date after this reply
                if other is not version:
                    other.forget(target.conversation)
            return version.chat

        return await self.chat.begin(
            user, body, conversation, pin_controls=pin_controls, readings=readings, choose=choose
        )

    def serving(self, conversation: str | None) -> ServedVersion:
        """Return the version that replies in a conversation, but for a canary."""
        return self._kept_by(conversation) or self.served

    def _kept_by(self, conversation: str | None, *, begins: bool = False) -> ServedVersion | None:
        """Return the version that a conversation under way keeps: the one that it has, unless that was rolled back."""
        version = self.conversations.get(conversation, begins=begins)
        return version if version is self.served or version in self._superseded else None

    def _candidate_of(self, user: str) -> ServedVersion | None:
        return self.canary.candidate if self.canary is not None and self.canary.has_candidate(user) else None

    @property
    def refused(self) -> RefusedVersion | None:
        """The promoted version, if this server cannot serve it."""
        return self.watch.refused if self.watch is not None else None

    async def prepare(self, loaded: PromotedPurpose) -> ServedVersion:
        """Load a version beside those that are served; nobody gets it yet.

        Raises:
            TelicError: it cannot be served.
        """
        for one in self.loaded:
            if one.version == loaded.version and one.purpose == loaded.purpose:
                return one
        if MemoryConfig.of_purpose(loaded.purpose) != MemoryConfig.of_purpose(self.purpose):
            raise ConfigError("it changes [memory]; restart the server to serve it")
        new = await asyncio.to_thread(self._load, loaded)
        try:
            await new.start()
        except BaseException:
            await new.close(self.loaded)
            raise
        self.loaded.append(new)
        return new

    def _load(self, loaded: PromotedPurpose) -> ServedVersion:
        """Make a version, on the model of another one if that is the same."""
        wanted = model_settings(loaded.purpose)
        beside = next((one for one in self.loaded if model_settings(one.purpose) == wanted), None)
        if beside is None and self._fixed_model:
            raise ConfigError("it changes the model, but this server's model was set with --model or --adapter")
        model = load(loaded.purpose) if beside is None else beside.runner.model
        return ServedVersion(model, loaded.purpose, loaded.version, self._shared, self._controls, beside)

    def serve(self, new: ServedVersion, promoted: Collection[str]) -> None:
        """Give a prepared version to all new conversations, at once.

        Conversations under way keep the version that they have, unless it was rolled back: then something is wrong with
        it, and they get the new one with their next reply.

        Args:
            new: the version.
            promoted: names of the promoted versions; one that is not among them was rolled back.
        """
        earlier = [*self._superseded, self.served]
        self._superseded = [
            one for one in earlier if one is not new and (one.version == BASE or one.version in promoted)
        ]
        self._use(new)
        if self.canary is not None:
            try:
                self.canary.follow(new)
            except TelicError as error:  # its record: what is served has changed all the same
                log_event(logging.ERROR, "canary_failed", cause=str(error))

    async def close_unused(self) -> None:
        """Close the versions that no conversation has any more."""
        candidate = self.canary.candidate if self.canary is not None and self.canary.serves_candidate else None
        others = [one for one in self.loaded if one is not self.served and one is not candidate]
        self.conversations.forget_old([one for one in others if one not in self._superseded])
        for one in others:
            if not self.conversations.count(one):
                self.loaded.remove(one)
                self._superseded = [kept for kept in self._superseded if kept is not one]
                await one.close(self.loaded)

    def begin_closing(self) -> None:
        """Begin the time within which `close` ends: `shutdown_seconds`, of which requests may use some first."""
        self._end = time.monotonic() + self.config.shutdown_seconds

    @property
    def closing(self) -> bool:
        """Whether the server is being stopped."""
        return self._end is not None

    async def close(self) -> None:
        """Interrupt the active exchanges, store what is left to store, and end all threads, within the time."""
        if self._end is None:
            self.begin_closing()
        assert self._end is not None
        for exchange in list(self.chat.active_exchanges):  # dashboard pages may outlive their connection
            exchange.close()
        left = max(LAST_SECONDS, self._end - time.monotonic())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            for version in self.loaded:
                await version.close_replies()
            runners = dict.fromkeys(version.runner for version in self.loaded)
            not_stored, *_ = await asyncio.gather(
                self.store.drain(left), *(runner.close(LAST_SECONDS) for runner in runners)
            )
            if not_stored:
                log_event(logging.ERROR, "not_stored", replies=not_stored, cause="the store did not answer in time")
        finally:
            for version in self.loaded:
                version.probes.close()
            if self.memories is not None:
                self.memories.close(CLOSE_SECONDS)
            self.store.close(CLOSE_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return all(version.alive for version in self.loaded)

    async def delete_user(self, user: str) -> int:
        """Delete everything stored about a user; returns the number of conversations."""
        deleted = await self.store.delete(user)
        if self.memories is not None:
            self.memories.drop(user)
        return len(await self._forget(deleted))

    async def delete_conversation(self, user: str, conversation: str) -> list[str]:
        """Delete a conversation with its branches; returns the ids of what was deleted."""
        deleted = await self.store.delete_family(user, conversation)
        if self.memories is not None:
            self.memories.drop(user)
        return await self._forget(deleted)

    async def _delete_before(self, time: float) -> int:
        return len(await self._forget(await self.store.delete_before(time)))

    def _drop_sessions(self, conversations: Sequence[str]) -> None:
        """Drop what the models have read of conversations, notes of a user's memory among it."""
        for version in self.loaded:
            version.sessions.drop(conversations)

    async def _forget(self, deleted: list[str]) -> list[str]:
        """Drop what is kept of deleted conversations, and mark the versions that were trained on them."""
        for version in self.loaded:
            version.drop(deleted)
        self.conversations.drop(deleted)
        if self.versions is not None and deleted:
            try:
                await asyncio.to_thread(self.versions.mark_deleted, deleted)
            except (
                TelicError,
                OSError,
                UnicodeDecodeError,
            ) as error:  # the ids stay in the store, and `telic learn --versions` marks them later
                log_event(logging.ERROR, "versions_not_marked", cause=str(error))
        return deleted

    def _count_turns(self, new: NewTurns) -> None:
        self.metrics.turns.inc(len(new.turns))
        version = self.conversations.get(new.conversation) or self.served
        is_candidate = version is not self.served and version not in self._superseded
        if version.drift is not None and not is_candidate:
            version.drift.consider(new)

    def _make_canary(self, release: PromotedPurpose) -> ServedCanary | None:
        """Make the canary that the settings ask for; None if they ask for none.

        Raises:
            TelicError: the candidate cannot be served, or the record of the last canary is damaged.
        """
        loaded = choose_candidate(release, self.config)
        if loaded is None:
            return None
        same = model_settings(loaded.purpose) == model_settings(release.purpose)
        model = self.runner.model if same else load(loaded.purpose)
        beside = self.served if same else None
        candidate = ServedVersion(model, loaded.purpose, loaded.version, self._shared, self._controls, beside)
        self.loaded.append(candidate)
        limits = [one.judge for one in judged_limits(loaded.written) if not model_judges(one.judge)]
        return ServedCanary(candidate, release, self.config, self.store, self.metrics, limits)
