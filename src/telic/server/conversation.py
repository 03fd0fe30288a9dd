"""A conversation as a person holds it: say, look back, answer again, branch, pin, rate. What a dashboard is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from telic.dialogue import Message
from telic.errors import DataError, RunError
from telic.models import Control, Reply, Session
from telic.server.annotations import FeedbackKind
from telic.server.history import History
from telic.server.pins import Pins
from telic.server.problems import ApiError
from telic.server.store import Addition, KeptTurn, Summary, TurnRecord
from telic.server.wire import ChatMessage, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.server.service import Service

__all__ = ["Conversation", "attention_levels", "list_conversations"]


T = TypeVar("T")


class Conversation:
    """One conversation of a user. Nothing of it is only here: another page, or the API, may go on with it.

    Args:
        service: what answers and keeps it.
        user: the API key's holder.
    """

    def __init__(self, service: Service, user: str) -> None:
        self._service, self.user = service, user
        self.id: str | None = None
        """None until something of it is kept."""
        self.turns: list[KeptTurn] = []
        self.pins = Pins()
        """In force from the next reply on."""
        self._system = ""
        self._parent: str | None = None

    @classmethod
    async def open(cls, service: Service, user: str, conversation: str) -> Conversation:
        """Open one that was kept, with the pins that it has.

        Raises:
            ApiError: the user has no such conversation.
        """
        this = cls(service, user)
        this.id = conversation
        await this.reload()
        if not this.turns:
            raise ApiError(404, "there is no such conversation of this user", code="conversation_not_found")
        if conversation in service.pins:
            this.pins = service.pins[conversation]
        else:
            this.pins = this._pins_of(next((turn.setup for turn in reversed(this.turns) if turn.setup), {}))
        return this

    @property
    def replies(self) -> list[KeptTurn]:
        """What the model said."""
        return [turn for turn in self.turns if turn.role == "assistant"]

    def pins_of(self, turn: KeptTurn) -> Pins:
        """The pins under which a reply was given."""
        return self._pins_of(turn.setup)

    def _pins_of(self, setup: Any) -> Pins:
        own = self._service.setup(self._service.controls_of(self.id)).content["controls"]
        return Pins.of_setup(setup, own)

    async def say(self, text: str) -> AsyncGenerator[str, None]:
        """Say something, and hear the reply piece by piece. It is kept when the last piece has come.

        Whoever stops listening cuts the reply off; what was heard is kept.

        Raises:
            ApiError: it is refused, or the model failed.
        """
        service, began = self._service, time.perf_counter()
        self._refuse(text)
        said = [*self._sent(), Message(role="user", content=text)]
        body = ChatRequest(messages=[_wire(message) for message in said])
        readings = {"attention"} & service.model.readings
        place = None
        try:
            with ExitStack() as resources:
                resources.enter_context(service.limits.enter(self.user))
                pinned = service.observer.pinned(self.pins)
                named = self.id or self._parent
                exchange = await service.begin(self.user, body, named, pinned=pinned, readings=readings)
                place = exchange.place.conversation
                resources.callback(lambda: service.limits.spend(self.user, exchange.tokens))
                resources.callback(exchange.close)
                await exchange.first()
                service.metrics.first_token.observe(time.perf_counter() - began)
                async for _, event in exchange.events():
                    if not isinstance(event, Reply):
                        yield event.text
                await exchange.keep()
        finally:
            service.metrics.whole.observe(time.perf_counter() - began)
            if place is not None:
                await self._settle(place)

    def _refuse(self, text: str) -> None:
        if not text.strip():
            raise ApiError(400, "there is nothing in the message")
        try:
            length = len(text.encode())
        except UnicodeEncodeError:  # half of a character, which a browser may send and no store keeps
            raise ApiError(400, "the message has a character that is none; take it out") from None
        if length > self._service.config.max_body_bytes:
            raise ApiError(413, f"the message is longer than {self._service.config.max_body_bytes} bytes")

    async def _settle(self, place: str) -> None:
        """Go on from what was kept, which after a reply cut short is being written down still."""
        while place in self._service.sessions.busy:
            await asyncio.sleep(0.01)
        if not self._service.alive:  # it was closed meanwhile, and what was heard written down
            return
        if await _stored(self._service, partial(self._service.store.has, self.user, place)):
            self.id = place
            self._bend()
            await self.reload()

    async def reload(self) -> None:
        """Read it again from the store."""
        if self.id is None:
            return
        kept = await _stored(self._service, partial(self._service.store.conversation, self.user, self.id))
        self.turns, self._system = (kept.turns, kept.system) if kept else ([], "")

    def branch(self, position: int) -> Conversation:
        """Another course from before a turn on, with the same pins; it is kept once something is said in it."""
        other = Conversation(self._service, self.user)
        other.turns, other.pins, other._system = self.turns[:position], self.pins, self._system
        other._parent = self.id
        return other

    def asked_before(self, position: int) -> KeptTurn | None:
        """The user's words to which a reply was given."""
        before = list(takewhile(lambda turn: turn.position < position, self.turns))
        return before[-1] if before and before[-1].role == "user" else None

    async def edit(self, position: int, text: str) -> Conversation:
        """Put other words into the model's mouth: a branch on which it said so. The edit is kept as feedback, too.

        Raises:
            ApiError: it is empty, or could not be kept.
        """
        self._refuse(text)
        turn, own = self.turns[position], self.branch(position)
        await self.give_feedback(position, "edit", text)
        digest = History.of(self.user, own._sent()).after(text)
        record = TurnRecord(turn.role, text, digest, time.time(), "edited")
        own.id = uuid4().hex
        await self._service.keep(Addition(own.id, self.user, (record,), position, parent=self.id, system=self._system))
        own._bend()
        await own.reload()
        return own

    async def give_feedback(self, position: int, kind: FeedbackKind, value: Any) -> None:
        """Keep what the user thinks of a turn.

        Raises:
            ApiError: it could not be kept.
        """
        assert self.id is not None
        add = partial(self._service.annotations.add_feedback, self.user, self.id, position, kind, value)
        await self._annotate(add)

    def pin(self, pins: Pins) -> None:
        """From the next reply on, let these pins act, whoever asks for it.

        Raises:
            ApiError: there is no such pin.
        """
        self._service.observer.pinned(pins)
        self.pins = pins
        if self.id is not None:  # without pins, too: the last reply was perhaps given under some
            self._service.pins[self.id] = pins

    def _bend(self) -> None:
        """Let the pins act in what goes on; without any, the last reply says so itself."""
        if self.id is not None and self.pins:
            self._service.pins[self.id] = self.pins
        elif self.id is not None:
            self._service.pins.pop(self.id, None)

    async def read(self, position: int) -> None:
        """Read what the model took the user and itself to be when it gave a reply, and keep it.

        Raises:
            ApiError: it cannot be read, or could not be kept; the key has too much under way.
        """
        controls = self._controls_at(position)
        with self._service.limits.enter(self.user):
            found = await self._service.observer.beliefs(self._until(position), self._look(position), controls)
        assert self.id is not None
        add = partial(self._service.annotations.add_readings, self.user, self.id, position, {"beliefs": found})
        await self._annotate(add)

    async def probe(self, position: int) -> None:
        """Ask the purpose's probes aside, after a reply, and keep the answers with their scores.

        Raises:
            ApiError: there are no probes, or the answers could not be judged or kept; the key has too much under way.
        """
        controls = self._controls_at(position)
        limits, said = self._service.limits, self._until(position + 1)
        with limits.enter(self.user):
            asked = await self._service.observer.probe(
                said, self._look(position), controls, partial(limits.spend, self.user)
            )
        assert self.id is not None
        await self._annotate(partial(self._service.annotations.add_branches, self.user, self.id, position, asked))

    def _controls_at(self, position: int) -> tuple[Control, ...]:
        """What acts on the conversation, under the pins of a reply."""
        service = self._service
        return (*service.controls_of(self.id), *service.observer.pinned(self.pins_of(self.turns[position])))

    def _sent(self) -> list[Message]:
        """All of it, as a client of the API would send it."""
        own = [Message(role="system", content=self._system)] if self._system else []
        return [*own, *map(_message, self.turns)]

    def _until(self, end: int) -> list[Message]:
        """What the model was told, up to a position."""
        return [*self._service.system(self._system), *map(_message, self.turns[:end])]

    def _look(self, position: int) -> Session:
        return self._service.sessions.look(self.id, now=position == len(self.turns) - 1)

    async def _annotate(self, add: Callable[[], None]) -> None:
        try:
            await _stored(self._service, add)
        except (RunError, DataError) as error:
            raise ApiError(400, str(error)) from None
        await self.reload()


async def list_conversations(service: Service, user: str) -> list[Summary]:
    """A user's conversations, the latest first; of those that are branches of one another, the latest only.

    Raises:
        ApiError: the store does not answer.
    """
    found = await _stored(service, partial(service.store.recent, user))
    parents = {one.conversation: one.parent for one in found}

    def root(name: str) -> str:
        seen = {name}
        while (parent := parents.get(name)) is not None and parent in parents and parent not in seen:
            seen.add(parent)
            name = parent
        return name

    families: dict[str, Summary] = {}
    for one in found:
        families.setdefault(root(one.conversation), one)
    return list(families.values())


def attention_levels(turns: list[KeptTurn]) -> dict[int, float]:
    """Attention to the purpose at each reply that has a reading, by position, against that of the first one.

    Attention is the mass on the system prompt, mean over layers (as in `telic measure`); 1 is the first reply's.
    """
    masses = {
        turn.position: sum(layers) / len(layers)
        for turn in turns
        if (layers := [mass for mass in turn.readings.get("attention") or () if mass is not None])
    }
    first = next(iter(masses.values()), 0.0)
    return {position: mass / first for position, mass in masses.items()} if first else {}


async def _stored(service: Service, work: Callable[[], T]) -> T:
    try:
        return await service.in_store(work)
    except SQLAlchemyError as error:
        raise ApiError(503, "the store of conversations does not answer; try again later") from error


def _message(turn: KeptTurn) -> Message:
    return Message(role=turn.role, content=turn.text)  # type: ignore[arg-type]


def _wire(message: Message) -> ChatMessage:
    return ChatMessage(role=message.role, content=message.content)  # type: ignore[arg-type]
