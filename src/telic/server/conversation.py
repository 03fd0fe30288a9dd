"""A conversation as a person uses it on the dashboard: say, branch, edit, regenerate, pin, rate, read, probe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from telic.dialogue import Message
from telic.models import Control, Reply, Session
from telic.server.annotations import Annotations, FeedbackKind
from telic.server.chat_request import ChatMessage, ChatRequest
from telic.server.errors import ApiError
from telic.server.history import History, system_message
from telic.server.pins import Pins
from telic.server.records import NewTurns, StoredTurn, TurnRecord
from telic.server.served_version import ServedVersion
from telic.server.service import Service

if TYPE_CHECKING:
    from telic.readers.evidence import Evidence

__all__ = ["DashboardConversation"]


class DashboardConversation:
    """One conversation of a user. All of it is in the store, so other pages and API clients may continue it.

    Args:
        service: replies and stores.
        user: the holder of the API key.
    """

    def __init__(self, service: Service, user: str) -> None:
        self._service, self.user = service, user
        self.id: str | None = None
        """None until its first turn is stored."""
        self.turns: list[StoredTurn] = []
        self.pins = Pins()
        """Pins of the next reply."""
        self._system = ""
        self._parent: str | None = None

    @classmethod
    async def open(cls, service: Service, user: str, conversation: str) -> DashboardConversation:
        """Open a stored conversation, with its pins.

        Raises:
            ApiError: the user has no such conversation.
        """
        opened = cls(service, user)
        opened.id = conversation
        await opened.reload()
        if not opened.turns:
            raise ApiError(404, "this user has no such conversation", code="conversation_not_found")
        if conversation in service.controls.pins_by_conversation:
            opened.pins = service.controls.pins_by_conversation[conversation]
        else:
            latest_setup = next((turn.setup for turn in reversed(opened.turns) if turn.setup), {})
            opened.pins = opened._pins_in(latest_setup)
        return opened

    @property
    def _served(self) -> ServedVersion:
        """The version that replies in this conversation."""
        return self._service.serving(self.id or self._parent)

    @property
    def replies(self) -> list[StoredTurn]:
        """The model's turns."""
        return [turn for turn in self.turns if turn.role == "assistant"]

    def pins_of(self, turn: StoredTurn) -> Pins:
        """Return the pins that acted on a reply."""
        return self._pins_in(turn.setup)

    def _pins_in(self, setup: Mapping[str, Any]) -> Pins:
        controls = self._served.controls
        return Pins.from_setup(setup, controls.describe_setup(controls.of(self.id)).content["controls"])

    async def say(self, text: str) -> AsyncGenerator[str, None]:
        """Send a message, and yield the reply piece by piece. The turn is stored when the generator ends.

        Closing the generator cancels the reply; the text so far is stored.

        Raises:
            ApiError: the message is refused, or the model failed.
        """
        service, served, start = self._service, self._served, time.perf_counter()
        self._check_message(text)
        messages = [*self._client_messages(), Message(role="user", content=text)]
        body = ChatRequest(messages=[_to_chat_message(message) for message in messages])
        readings = {"attention"} & served.runner.model.readings
        conversation = None
        try:
            with ExitStack() as resources:
                resources.enter_context(service.limits.admit(self.user))
                pin_controls = served.beliefs.controls_for(self.pins)
                exchange = await service.begin(
                    self.user, body, self.id or self._parent, canary=False, pin_controls=pin_controls, readings=readings
                )
                conversation = exchange.conversation
                resources.callback(lambda: service.limits.spend(self.user, exchange.computed_tokens))
                resources.callback(exchange.close)
                await exchange.wait_for_first_event()
                service.metrics.first_token_seconds.observe(time.perf_counter() - start)
                async for _, event in exchange.events():
                    if not isinstance(event, Reply):
                        yield event.text
                await exchange.save()
        finally:
            service.metrics.request_seconds.observe(time.perf_counter() - start)
            if conversation is not None:
                await self._continue_as(conversation)

    def _check_message(self, text: str) -> None:
        if not text.strip():
            raise ApiError(400, "the message is empty")
        try:
            length = len(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair, which a browser may send and no store accepts
            raise ApiError(400, "the message contains an invalid character; remove it") from None
        if length > self._service.config.max_body_bytes:
            raise ApiError(413, f"the message is longer than {self._service.config.max_body_bytes} bytes")

    async def _continue_as(self, conversation: str) -> None:
        """Load what was stored of an exchange; the text of an interrupted reply may still be on its way."""
        while conversation in self._service.sessions.busy:
            await asyncio.sleep(0.01)
        if not self._service.alive:  # the server was closed meanwhile, after it stored the text
            return
        if await self._service.store.has(self.user, conversation):
            self.id = conversation
            self._carry_pins_to(conversation)
            await self.reload()

    async def reload(self) -> None:
        """Read the conversation from the store again.

        Raises:
            ApiError: the store failed.
        """
        if self.id is None:
            return
        stored = await self._service.store.conversation(self.user, self.id)
        self.turns, self._system = (stored.turns, stored.system) if stored else ([], "")

    def branch(self, position: int) -> DashboardConversation:
        """Make a branch with the turns before a position, and the same pins. It is stored with its first new turn."""
        other = DashboardConversation(self._service, self.user)
        other.turns, other.pins, other._system = self.turns[:position], self.pins, self._system
        other._parent = self.id
        return other

    def user_turn_before(self, position: int) -> StoredTurn | None:
        """Return the user's turn that a reply answers."""
        before = list(takewhile(lambda turn: turn.position < position, self.turns))
        return before[-1] if before and before[-1].role == "user" else None

    async def edit_reply(self, position: int, text: str) -> DashboardConversation:
        """Replace a reply by another text, on a new branch. The text is also stored as feedback on the reply.

        Raises:
            ApiError: the text is empty, or could not be stored.
        """
        self._check_message(text)
        turn, branch = self.turns[position], self.branch(position)
        await self.give_feedback(position, "edit", text)
        if self._service.memories is not None:
            await self._service.memories.observe_edit(self.user, self._stored_id, turn.text, text)
        edited = Message(role="assistant", content=text)
        digest = History.from_messages(self.user, branch._client_messages()).digest_with(edited)
        record = TurnRecord(turn.role, text, digest, time.time(), "edited")
        branch.id = conversation = uuid4().hex
        new = NewTurns(conversation, self.user, (record,), position, parent=self.id, system=self._system)
        await self._service.store.add(new)
        branch._carry_pins_to(conversation)
        await branch.reload()
        return branch

    async def give_feedback(self, position: int, kind: FeedbackKind, value: Any) -> None:
        """Store the user's feedback on a turn.

        Raises:
            ApiError: it could not be stored.
        """
        conversation = self._stored_id
        await self._annotate(lambda notes: notes.add_feedback(self.user, conversation, position, kind, value))

    def set_pins(self, pins: Pins) -> None:
        """Set the pins of the conversation, from the next reply on.

        Raises:
            ApiError: a reader or a class does not exist, or beliefs cannot be pinned.
        """
        self._served.beliefs.controls_for(pins)
        self.pins = pins
        if self.id is not None:  # empty pins, too: they replace those of the last reply
            self._service.controls.pins_by_conversation[self.id] = pins

    def _carry_pins_to(self, conversation: str) -> None:
        """Register the pins for the stored conversation that this one has become."""
        if self.pins:
            self._service.controls.pins_by_conversation[conversation] = self.pins
        else:
            self._service.controls.pins_by_conversation.pop(conversation, None)

    async def read_beliefs(self, position: int) -> None:
        """Read the model's beliefs at a reply, and store them.

        Raises:
            ApiError: they cannot be read or stored; the key exceeds its limits.
        """
        conversation, controls = self._stored_id, self._controls_at(position)
        limits = self._service.limits
        with limits.admit(self.user):
            messages, spend = self._model_messages(position), partial(limits.spend, self.user)
            beliefs = await self._served.beliefs.read(self.user, messages, self._fork(position), controls, spend)
        await self._annotate(lambda notes: notes.add_readings(self.user, conversation, position, {"beliefs": beliefs}))

    async def find_evidence(self, position: int, reader: str) -> Evidence:
        """Find which of the user's words moved a reading at a reply; nothing is stored.

        The messages of the spans are turns of the conversation: `message` is a position.

        Raises:
            ApiError: it cannot be found; the key exceeds its limits.
        """
        controls, limits, messages = self._controls_at(position), self._service.limits, self._model_messages(position)
        with limits.admit(self.user):
            spend = partial(limits.spend, self.user)
            evidence = await self._served.beliefs.find_evidence(
                self.user, messages, self._fork(position), controls, spend, reader
            )
        before = len(messages) - position  # the system prompt is no turn
        return replace(evidence, spans=tuple(replace(span, message=span.message - before) for span in evidence.spans))

    async def ask_probes(self, position: int) -> None:
        """Ask the purpose's probes after a reply, on forks, and store the answers with their scores.

        Raises:
            ApiError: there are no probes; the answers cannot be judged or stored; the key exceeds its limits.
        """
        conversation, controls = self._stored_id, self._controls_at(position)
        limits, messages = self._service.limits, self._model_messages(position + 1)
        with limits.admit(self.user):
            spend = partial(limits.spend, self.user)
            probe_branches = await self._served.probes.ask(self.user, messages, self._fork(position), controls, spend)
        await self._annotate(lambda notes: notes.add_probe_branches(self.user, conversation, position, probe_branches))

    async def _annotate(self, add: Callable[[Annotations], None]) -> None:
        await self._service.store.annotate(add)
        await self.reload()

    @property
    def _stored_id(self) -> str:
        """The id of the conversation.

        Raises:
            ApiError: none of its turns is stored.
        """
        if self.id is None:
            raise ApiError(404, "this conversation has no stored turns", code="conversation_not_found")
        return self.id

    def _controls_at(self, position: int) -> tuple[Control, ...]:
        """Return the controls of the conversation, with the pins of a reply."""
        served = self._served
        return (*served.controls.of(self.id), *served.beliefs.controls_for(self.pins_of(self.turns[position])))

    def _client_messages(self) -> list[Message]:
        """Return the conversation as an API client would send it."""
        system = [Message(role="system", content=self._system)] if self._system else []
        return [*system, *map(_to_message, self.turns)]

    def _model_messages(self, end: int) -> list[Message]:
        """Return the turns before a position as the model receives them."""
        said = [message for turn in self.turns[:end] for message in turn.messages]
        return [system_message(self._served.purpose, self._system), *said]

    def _fork(self, position: int) -> Session:
        return self._served.sessions.fork_for_reading(self.id, latest=position == len(self.turns) - 1)


def _to_message(turn: StoredTurn) -> Message:
    return turn.tools.message(turn.role, turn.text)


def _to_chat_message(message: Message) -> ChatMessage:
    return ChatMessage.model_validate(message.as_dict())
