"""The candidate of a canary: a second version of the purpose, which some users get."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from telic.agents.agent import Agent
from telic.models import Control, Model, Request
from telic.models.compatibility import refuse_unsupported
from telic.promotion import PromotedPurpose
from telic.server.chat_handler import ChatHandler
from telic.server.controls import ConversationControls
from telic.server.defence_states import DefenceStates
from telic.server.defended_replies import DefendedReplies
from telic.server.log import log_event
from telic.server.runner import RequestRunner
from telic.server.sessions import Sessions
from telic.server.shared_prefix import read_shared_prefix

__all__ = ["ServedCandidate"]

CLOSE_SECONDS = 1.0


class ServedCandidate:
    """A version that is served beside the promoted one, on the same model or on its own.

    Args:
        model: the model that replies; the served one if the version does not change it.
        loaded: the purpose with the changes of the version.
        served: replies to all other users; both share the store and the limits.
        controls: controls of every conversation; by default the version's own.

    Raises:
        ConfigError: the version names an unknown control or defence.
        UnsupportedControlError: the model does not support a control.
    """

    def __init__(
        self, model: Model, loaded: PromotedPurpose, served: ChatHandler, controls: Sequence[Control] | None = None
    ) -> None:
        purpose, shared, config = loaded.purpose, served.services, served.config
        agent = Agent(model, purpose, controls)
        refuse_unsupported(model, [Request((), controls=agent.controls, readings=frozenset(config.readings))])
        self.version = loaded.version
        self._purpose = purpose
        self._owns_runner = model is not shared.runner.model
        self._runner = RequestRunner(model, config) if self._owns_runner else shared.runner
        self._sessions = Sessions(model, config.max_conversations, shared.sessions.busy)
        defences = agent.defender.defences
        self.controls = ConversationControls(
            model, purpose, agent.controls, [one.spec() for one in defences], loaded.version
        )
        self._all_controls = (*self.controls.default, *agent.defender.controls)
        guarded = bool(defences) or agent.defender.reward_head is not None or agent.tools is not None
        self._defended = (
            DefendedReplies(self._runner, agent.defender, config, shared.metrics, agent.tools) if guarded else None
        )
        self._tools = agent.tools.toolbox.definitions if agent.tools is not None else ()
        self._states = DefenceStates(shared.store, defences)
        services = replace(shared, runner=self._runner, sessions=self._sessions, defence_states=self._states)
        sampling = replace(agent.sampling, logprobs=self._runner.local is not None)
        self.chat = ChatHandler(
            purpose, config, sampling, services, self.controls, served.beliefs, self._defended, served.memories
        )
        """Begins the exchanges of the users who get the candidate."""

    @property
    def alive(self) -> bool:
        """Whether its requests are answered."""
        return self._runner.alive

    async def start(self) -> None:
        """Start its threads, and let a local model read the system prompt.

        Raises:
            ModelError: the model cannot read the system prompt.
        """
        if self._owns_runner:
            self._runner.start()
        if self._defended is not None:
            self._defended.start()
        if self._runner.local is not None:
            self._sessions.shared_prefix = await read_shared_prefix(
                self._runner, self._purpose, self._all_controls, self._tools
            )

    async def close(self) -> None:
        """End its threads."""
        if self._defended is not None:
            await self._defended.close(CLOSE_SECONDS)
        if self._owns_runner:
            await self._runner.close(CLOSE_SECONDS)
        log_event(logging.INFO, "candidate_closed", version=self.version)

    def drop_sessions(self, conversations: Sequence[str]) -> None:
        """Drop what the model has read of conversations."""
        self._sessions.drop(conversations)

    def drop(self, conversations: Sequence[str]) -> None:
        """Forget deleted conversations."""
        self._sessions.drop(conversations)
        self._states.drop(conversations)
        if self._defended is not None:
            self._defended.drop(conversations)
        self.controls.drop(conversations)
