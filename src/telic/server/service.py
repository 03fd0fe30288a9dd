"""A purpose that is served: its parts, and their life cycle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from telic.agents.agent import Agent
from telic.errors import TelicError
from telic.judges import model_judges
from telic.judges.limits import judged_limits
from telic.memory import MemoryConfig
from telic.models import Control, Model, Request, load
from telic.models.compatibility import refuse_unsupported
from telic.promotion import PromotedPurpose
from telic.promotion.records import BASE
from telic.promotion.serving import model_settings
from telic.purpose import Purpose
from telic.server.async_store import AsyncConversationStore
from telic.server.beliefs import Beliefs
from telic.server.canary import ServedCanary, choose_candidate
from telic.server.candidate import ServedCandidate
from telic.server.chat_handler import ChatHandler
from telic.server.config import ServeConfig
from telic.server.controls import ConversationControls
from telic.server.defence_states import DefenceStates
from telic.server.defended_replies import DefendedReplies
from telic.server.drift import DriftProbes, DriftServices
from telic.server.exchange import ExchangeServices
from telic.server.health import Health
from telic.server.limits import Limits
from telic.server.log import log_event
from telic.server.metrics import Metrics
from telic.server.probes import ProbeRunner
from telic.server.records import NewTurns
from telic.server.retention import delete_expired
from telic.server.runner import RequestRunner
from telic.server.sessions import Sessions
from telic.server.shared_prefix import read_shared_prefix
from telic.server.store import ConversationStore
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
        release: the version that is served, with its siblings; needed for a canary.

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
    ) -> None:
        agent = Agent(model, purpose, controls)
        refuse_unsupported(model, [Request((), controls=agent.controls, readings=frozenset(config.readings))])
        self.purpose, self.config = purpose, config
        self._end: float | None = None
        self._defence_controls = agent.defender.controls
        self._tools = agent.tools.toolbox.definitions if agent.tools is not None else ()
        self.created = int(time.time())
        self.store = AsyncConversationStore(ConversationStore(config.store))
        self.runner = RequestRunner(model, config)
        self.sessions = Sessions(model, config.max_conversations)
        defences = agent.defender.defences
        self.version = release.version if release else BASE
        """The version that is served."""
        self.versions = release.versions if release else None
        self.controls = ConversationControls(
            model, purpose, agent.controls, [one.spec() for one in defences], self.version
        )
        self.limits, self.metrics = Limits(config), Metrics()
        self.beliefs = Beliefs(self.runner, config.readers, unsupported=config.unsupported_readings)
        sampling = replace(agent.sampling, logprobs=self.runner.local is not None)
        self.probes = ProbeRunner(self.runner, purpose, sampling)
        self.defence_states = DefenceStates(self.store, defences)
        guarded = bool(defences) or agent.defender.reward_head is not None or agent.tools is not None
        self._defended = (
            DefendedReplies(self.runner, agent.defender, config, self.metrics, agent.tools) if guarded else None
        )
        services = ExchangeServices(self.runner, self.store, self.sessions, self.defence_states, self.metrics)
        remembered = MemoryConfig.of_purpose(purpose)
        self.memories: UserMemories | None = None
        """What is remembered of the users; None if the purpose has no table `[memory]`."""
        if remembered is not None:
            self.memories = UserMemories(self.store, purpose.name, remembered, self._drop_sessions)
        self.chat = ChatHandler(
            purpose, config, sampling, services, self.controls, self.beliefs, self._defended, self.memories
        )
        self._drift: DriftProbes | None = None
        if config.probe_share:
            parts = DriftServices(
                self.runner, self.probes, self.sessions, self.store, self.controls, self.metrics
            )  # fmt: skip
            self._drift = DriftProbes(parts, purpose, config.probe_share, self._defence_controls)
        self.canary = _make_canary(self, release, controls) if release else None
        self._tasks: list[asyncio.Task[None]] = []
        self.health = Health(lambda: self.alive, self.store.check)
        self.store.listeners.append(self._count_turns)

    async def start(self) -> None:
        """Start the threads, and let a local model read the system prompt.

        Raises:
            ModelError: the model cannot read the system prompt.
        """
        self.runner.start()
        if self._defended is not None:
            self._defended.start()
        if self.runner.local is not None:
            controls = (*self.controls.default, *self._defence_controls)
            self.sessions.shared_prefix = await read_shared_prefix(self.runner, self.purpose, controls, self._tools)
        loop = asyncio.get_running_loop()
        if self.canary is not None:
            await self.canary.candidate.start()
            self._tasks.append(loop.create_task(self.canary.watch()))
        if self.config.keep_days is not None:
            self._tasks.append(loop.create_task(delete_expired(self._delete_before, self.config.keep_days)))

    def chat_of(self, user: str) -> ChatHandler:
        """Return what replies to a user: the promoted version, or the candidate of a canary."""
        return self.canary.candidate.chat if self.canary and self.canary.has_candidate(user) else self.chat

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
            if self._drift is not None:
                await self._drift.close()
            if self.canary is not None:
                await self.canary.candidate.close()
            if self._defended is not None:
                await self._defended.close(LAST_SECONDS)
            not_stored, _ = await asyncio.gather(self.store.drain(left), self.runner.close(LAST_SECONDS))
            if not_stored:
                log_event(logging.ERROR, "not_stored", replies=not_stored, cause="the store did not answer in time")
        finally:
            self.probes.close()
            if self.memories is not None:
                self.memories.close(CLOSE_SECONDS)
            self.store.close(CLOSE_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self.runner.alive and (self.canary is None or self.canary.candidate.alive)

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
        self.sessions.drop(conversations)
        if self.canary is not None:
            self.canary.candidate.drop_sessions(conversations)

    async def _forget(self, deleted: list[str]) -> list[str]:
        """Drop what is kept of deleted conversations, and mark the versions that were trained on them."""
        self.sessions.drop(deleted)
        self.defence_states.drop(deleted)
        if self._defended is not None:
            self._defended.drop(deleted)
        self.controls.drop(deleted)
        if self.canary is not None:
            self.canary.candidate.drop(deleted)
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
        if self._drift is not None and self.chat_of(new.user) is self.chat:
            self._drift.consider(new)


def _make_canary(
    service: Service, release: PromotedPurpose, controls: Sequence[Control] | None = None
) -> ServedCanary | None:
    """Make the canary that the settings of a service ask for; None if they ask for none.

    Raises:
        TelicError: the candidate cannot be served, or the record of the last canary is damaged.
    """
    loaded = choose_candidate(release, service.config)
    if loaded is None:
        return None
    served = service.runner.model
    same = model_settings(loaded.purpose) == model_settings(release.purpose)
    model = served if same else load(loaded.purpose)
    candidate = ServedCandidate(model, loaded, service.chat, controls)
    limits = [one.judge for one in judged_limits(loaded.written) if not model_judges(one.judge)]
    return ServedCanary(candidate, release, service.config, service.store, service.metrics, limits)
