"""A version of the purpose that a server serves: the promoted one, one that was promoted before, or a candidate."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from telic.agents.agent import Agent
from telic.models import Control, Model, Request
from telic.models.compatibility import refuse_unsupported
from telic.purpose import Purpose
from telic.server.async_store import AsyncConversationStore
from telic.server.beliefs import Beliefs
from telic.server.chat_handler import ChatHandler
from telic.server.config import ServeConfig
from telic.server.controls import ConversationControls
from telic.server.defence_states import DefenceStates
from telic.server.defended_replies import DefendedReplies
from telic.server.drift import DriftProbes, DriftServices
from telic.server.exchange import Exchange, ExchangeServices
from telic.server.log import log_event
from telic.server.metrics import Metrics
from telic.server.pins import Pins
from telic.server.probes import ProbeRunner
from telic.server.runner import RequestRunner
from telic.server.sessions import Sessions
from telic.server.shared_prefix import read_shared_prefix
from telic.server.user_memories import UserMemories

__all__ = ["ServedVersion", "SharedParts"]

CLOSE_SECONDS = 1.0
"""Time for a model to end its current pass."""


@dataclass(frozen=True)
class SharedParts:
    """What all versions of a server share."""

    config: ServeConfig
    store: AsyncConversationStore
    metrics: Metrics
    memories: UserMemories | None = None
    """What is remembered of the users; None if nothing is."""
    busy: set[str] = field(default_factory=set)
    """Conversations with an active reply."""
    active_exchanges: set[Exchange] = field(default_factory=set)
    """The exchanges that are not closed."""
    pins: dict[str, Pins] = field(default_factory=dict)
    """Pins of single conversations, by id."""


class ServedVersion:
    """A purpose with the changes of one version, and all that replies with it. It is never changed.

    Args:
        model: the model that replies.
        purpose: the purpose with the changes of the version.
        version: the version's name; `base` for the file as it is written.
        shared: what all versions of the server share.
        controls: controls of every conversation; by default the purpose's own.
        beside: another version on the same model, whose threads it shares; None: it has its own.

    Raises:
        ConfigError: the purpose names an unknown control or defence, or a judge is wrong.
        UnsupportedControlError: the model does not support a control or a reading.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        version: str,
        shared: SharedParts,
        controls: Sequence[Control] | None = None,
        beside: ServedVersion | None = None,
    ) -> None:
        config = shared.config
        agent = Agent(model, purpose, controls)
        refuse_unsupported(model, [Request((), controls=agent.controls, readings=frozenset(config.readings))])
        self.purpose, self.version = purpose, version
        self._starts_runner = beside is None
        self.runner: RequestRunner = RequestRunner(model, config) if beside is None else beside.runner
        self.beliefs: Beliefs = (
            Beliefs(self.runner, config.readers, unsupported=config.unsupported_readings)
            if beside is None
            else beside.beliefs
        )
        self.sessions = Sessions(model, config.max_conversations, shared.busy)
        defences = agent.defender.defences
        self.controls = ConversationControls(
            model, purpose, agent.controls, [one.spec() for one in defences], version, shared.pins
        )
        self._defence_controls = agent.defender.controls
        self._tools = agent.tools.toolbox.definitions if agent.tools is not None else ()
        guarded = bool(defences) or agent.defender.reward_head is not None or agent.tools is not None
        self.defended = (
            DefendedReplies(self.runner, agent.defender, config, shared.metrics, agent.tools) if guarded else None
        )
        self.defence_states = DefenceStates(shared.store, defences)
        sampling = replace(agent.sampling, logprobs=self.runner.local is not None)
        self.probes = ProbeRunner(self.runner, purpose, sampling)
        services = ExchangeServices(
            self.runner, shared.store, self.sessions, self.defence_states, shared.metrics, shared.active_exchanges
        )
        self.chat = ChatHandler(
            purpose, config, sampling, services, self.controls, self.beliefs, self.defended, shared.memories
        )
        """Begins its exchanges."""
        self.drift: DriftProbes | None = None
        if config.probe_share:
            parts = DriftServices(
                self.runner, self.probes, self.sessions, shared.store, self.controls, shared.metrics
            )  # fmt: skip
            self.drift = DriftProbes(parts, purpose, config.probe_share, self._defence_controls)

    @property
    def alive(self) -> bool:
        """Whether its requests are answered."""
        return self.runner.alive

    async def start(self) -> None:
        """Start its threads, and let a local model read the system prompt.

        Raises:
            ModelError: the model cannot read the system prompt.
        """
        if self._starts_runner:
            self.runner.start()
        if self.defended is not None:
            self.defended.start()
        if self.runner.local is not None:
            controls = (*self.controls.default, *self._defence_controls)
            self.sessions.shared_prefix = await read_shared_prefix(self.runner, self.purpose, controls, self._tools)

    async def close_replies(self) -> None:
        """End what replies, except the model, which other versions may use."""
        if self.drift is not None:
            await self.drift.close()
        if self.defended is not None:
            await self.defended.close(CLOSE_SECONDS)

    async def close(self, others: Collection[ServedVersion] = ()) -> None:
        """End its threads.

        Args:
            others: versions that are still served: a model that one of them uses goes on.
        """
        try:
            await self.close_replies()
            if all(one.runner is not self.runner for one in others):
                await self.runner.close(CLOSE_SECONDS)
        finally:
            self.probes.close()
        log_event(logging.INFO, "version_closed", version=self.version)

    def forget(self, conversation: str) -> None:
        """Forget how far a conversation has come, because another version replies in it now."""
        self.sessions.drop([conversation])
        self.defence_states.drop([conversation])

    def drop(self, conversations: Sequence[str]) -> None:
        """Forget deleted conversations."""
        self.sessions.drop(conversations)
        self.defence_states.drop(conversations)
        if self.defended is not None:
            self.defended.drop(conversations)
        self.controls.drop(conversations)
