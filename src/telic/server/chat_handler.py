"""Turns chat requests into exchanges: checks them, finds their conversation, and submits them to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from telic.dialogue import Message
from telic.errors import ConfigError, MissingExtraError, ModelError
from telic.models import Control, Request, ResponseFormat, Sampling
from telic.models.capabilities import ConstrainsReplies
from telic.purpose import Purpose
from telic.server.beliefs import Beliefs
from telic.server.chat_request import ChatRequest
from telic.server.config import ServeConfig
from telic.server.controls import ConversationControls
from telic.server.defended_replies import DefendedReplies
from telic.server.errors import ApiError
from telic.server.exchange import Exchange, ExchangeServices
from telic.server.history import History, system_message
from telic.server.runner import of_user
from telic.server.turn_builder import StoreTarget, TurnBuilder
from telic.server.user_memories import UserMemories

__all__ = ["ChatHandler"]


@dataclass(frozen=True)
class ChatHandler:
    """Begins the exchanges of all conversations."""

    purpose: Purpose
    config: ServeConfig
    sampling: Sampling
    """Sampling options of a request that sets none."""
    services: ExchangeServices
    controls: ConversationControls
    beliefs: Beliefs
    defended: DefendedReplies | None = None
    """Makes replies behind the purpose's defences; None if it has none."""
    memories: UserMemories | None = None
    """What is remembered of the users; None if nothing is."""

    @property
    def active_exchanges(self) -> set[Exchange]:
        """The exchanges that are not closed."""
        return self.services.active_exchanges

    async def begin(
        self,
        user: str,
        body: ChatRequest,
        conversation: str | None = None,
        *,
        pin_controls: Sequence[Control] | None = None,
        readings: Iterable[str] = (),
        choose: Callable[[StoreTarget], ChatHandler] | None = None,
    ) -> Exchange:
        """Find the conversation that a request continues, or begin one, and submit the request.

        Args:
            user: the user.
            body: the request.
            conversation: id of the conversation, if the client names it.
            pin_controls: the pins of this reply (`Beliefs.controls_for`); by default those of the conversation.
            readings: readings to take of this reply, besides those of the configuration.
            choose: says what replies in the conversation that was found: another version of the purpose, perhaps. By
                default this one does.

        Returns:
            The exchange. The caller must close it.

        Raises:
            ApiError: the request exceeds a limit or asks for something that is not supported; there is no such
                conversation; the store failed.
        """
        self._check(body)
        history = History.from_messages(user, [message.message for message in body.messages])
        target = await self._find_target(history, conversation)
        try:
            chat = self if choose is None else choose(target)
            if chat is not self:
                chat._check(body)
            return await chat._begin(history, target, body, pin_controls, readings)
        except BaseException:  # the caller has no exchange to close
            self.services.sessions.busy.discard(target.conversation)
            raise

    def _check(self, body: ChatRequest) -> None:
        if not self.services.runner.alive:
            raise ApiError(503, "the model has stopped; the server must be restarted", code="model_stopped")
        self._refuse_unsupported(body)

    async def _begin(
        self,
        history: History,
        target: StoreTarget,
        body: ChatRequest,
        pin_controls: Sequence[Control] | None,
        readings: Iterable[str],
    ) -> Exchange:
        """Submit a request whose conversation was found. All of it is of this handler's version."""
        response_format = await self._compiled_format(body)
        sampling = body.sampling(self.sampling, self.config.max_new_tokens)
        tools, choice = body.tool_definitions, body.named_choice
        if pin_controls is None:
            pins = self.controls.pins_by_conversation.get(target.conversation)
            pin_controls = self.beliefs.controls_for(pins) if pins else ()
        controls = (*self.controls.of(target.conversation), *pin_controls)
        setup = self.controls.describe_setup(controls)
        kind = response_format.kind if response_format is not None else ""
        turns = TurnBuilder(history, target, setup, sampling, self._remembering(history.user), kind)
        controls += await self._memory_control(history, target)
        taken = frozenset(self.config.readings) | frozenset(readings)
        request = Request(
            (), sampling, controls, taken, response_format=response_format, tools=tools, tool_choice=choice
        )
        return await self._submit(turns, request, body.n or 1)

    def _remembering(self, user: str) -> str:
        """Return the purpose in whose memory the user's turns are logged; empty for none."""
        return self.purpose.name if self.memories is not None and self.memories.remembers(user) else ""

    async def _memory_control(self, history: History, target: StoreTarget) -> tuple[Control, ...]:
        """Make the control with the notes on the user. It is no part of the setup, which is stored and shared."""
        # The reply may follow the result of a tool, and still answers the user.
        asked = next((message for message in reversed(history.messages) if message.role == "user"), None)
        if self.memories is None or asked is None:
            return ()
        return await self.memories.control(history.user, asked.content, target.conversation)

    def _refuse_unsupported(self, body: ChatRequest) -> None:
        config, count = self.config, body.n or 1
        if count > config.max_choices:
            raise ApiError(400, f"n is {count}; expected at most {config.max_choices}", param="n")
        if len(body.messages) > config.max_messages:
            message = f"{len(body.messages)} messages; expected at most {config.max_messages}"
            raise ApiError(400, message, param="messages")
        if config.client_system == "refuse" and any(m.role in ("system", "developer") for m in body.messages):
            message = "this server accepts no system message, because its purpose has one; remove the message"
            raise ApiError(400, message, param="messages")
        own = self.defended.tool_names if self.defended is not None else frozenset()
        if own and count > 1:
            raise ApiError(400, f"n is {count}; expected 1, because this server's purpose calls tools", param="n")
        if taken := sorted(own & {part.function.name for part in body.tools or ()}):
            raise ApiError(400, f"tools: {taken[0]!r} is a tool of this server's purpose", param="tools")
        if body.logprobs and self.services.runner.local is None:
            raise ApiError(400, "this server's model returns no log-probabilities", param="logprobs")

    async def _compiled_format(self, body: ChatRequest) -> ResponseFormat | None:
        """Return the form of the reply, once the model has compiled it in a thread."""
        response_format, model = body.reply_format, self.services.runner.model
        if response_format is None:
            return None
        if not isinstance(model, ConstrainsReplies):
            message = "response_format: this server's model does not support it; remove it"
            raise ApiError(400, message, param="response_format", code="unsupported_parameter")
        if body.ignore_eos:
            message = "ignore_eos and response_format cannot be combined; remove one of them"
            raise ApiError(400, message, param="ignore_eos")
        try:
            await asyncio.to_thread(model.check_format, response_format)
        except (ConfigError, MissingExtraError, ModelError) as error:
            raise ApiError(400, str(error), param="response_format") from None
        return response_format

    async def _find_target(self, history: History, conversation: str | None) -> StoreTarget:
        """Find where the exchange goes in the store, and mark its conversation as busy."""
        store, busy = self.services.store, self.services.sessions.busy
        matches = await store.find(history.user, history.digests, conversation)
        if conversation is not None and not matches and not await store.has(history.user, conversation):
            raise ApiError(404, "this user has no such conversation", code="conversation_not_found")
        longest = [match for match in matches if match.length == matches[0].length]
        continued = next((match for match in longest if match.is_whole and match.conversation not in busy), None)
        if continued is not None:
            target = StoreTarget(continued.conversation, continued.length, new=False)
        elif matches:
            target = StoreTarget(uuid4().hex, matches[0].length, new=True, parent=matches[0].conversation)
        else:
            target = StoreTarget(uuid4().hex, 0, new=True, parent=conversation)
        busy.add(target.conversation)
        return target

    async def _messages(self, history: History, target: StoreTarget) -> list[Message]:
        """Return a history as the model knows it: with the calls of the purpose's own tools, which no client sees."""
        source = target.parent if target.new else target.conversation
        if source is None or self.defended is None or not self.defended.tool_names:
            return list(history.messages)
        stored = await self.services.store.conversation(history.user, source)
        steps = [turn.tools.steps for turn in stored.turns[: target.stored_turns]] if stored else []
        return [
            message
            for index, own in enumerate(history.messages)
            for message in (*(steps[index] if index < len(steps) else ()), own)
        ]

    async def _submit(self, turns: TurnBuilder, request: Request, count: int) -> Exchange:
        """Submit the choices of a reply; the request has no messages yet."""
        history, target, sampling = turns.history, turns.target, turns.sampling
        defended = None
        if self.defended is not None:
            state = await self.services.defence_states.open(history.user, target.conversation, target.parent)
            defended = self.defended.turns(history.user, state, target.conversation)
        session = self.services.sessions.open(target.conversation, target.parent)
        messages = (system_message(self.purpose, history.system), *await self._messages(history, target))
        exchange = Exchange(self.services, turns, session, defended)
        request = of_user(replace(request, messages=messages, cache=session.cache), history.user)
        seeds = [None if sampling.seed is None else sampling.seed + index for index in range(count)]
        exchange.submit(
            [
                replace(request, sampling=replace(sampling, seed=seed), keep=index == 0)
                for index, seed in enumerate(seeds)
            ]
        )
        self.active_exchanges.add(exchange)
        return exchange
