"""A purpose being served: one model, its controls, the conversations held with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from telic.agents.agent import Agent
from telic.dialogue import Message
from telic.errors import ModelError
from telic.models import Control, Model, Reply, Request, Sampling, Session
from telic.models.compatibility import refuse_unsupported
from telic.purpose import Purpose
from telic.server.annotations import Annotations
from telic.server.config import ServeConfig
from telic.server.exchange import Exchange, Place
from telic.server.history import History
from telic.server.limits import Limits
from telic.server.metrics import Metrics
from telic.server.observer import Observer
from telic.server.pins import Pins
from telic.server.problems import ApiError
from telic.server.sessions import Sessions
from telic.server.store import Addition, ConflictError, ConversationStore, Setup
from telic.server.wire import ChatRequest
from telic.server.workers import Event, Ticket, Worker, as_local, worker_of

if TYPE_CHECKING:
    from telic.models import LocalModel

__all__ = ["Service"]

T = TypeVar("T")

STORE_THREADS = 4
"""Transactions at once; SQLite has one writer."""


class Service:
    """Answers the conversations of many users with one purpose, and keeps them.

    Args:
        model: what speaks.
        purpose: what it is for.
        config: limits, and what is kept.
        controls: what holds the model to its purpose; by default the purpose's own.

    Raises:
        ConfigError: the purpose names a control that there is not; the store cannot be opened.
        UnsupportedControlError: a control or a reading cannot be had of this model.
    """

    def __init__(
        self, model: Model, purpose: Purpose, config: ServeConfig, controls: Sequence[Control] | None = None
    ) -> None:
        agent = Agent(model, purpose, controls)
        self.model, self.purpose, self.config = model, purpose, config
        self.controls: tuple[Control, ...] = agent.controls
        """What acts on every conversation; may be changed between turns, with `set_controls`."""
        self.own_controls: dict[str, tuple[Control, ...]] = {}
        """What acts on single conversations instead, by id."""
        self.pins: dict[str, Pins] = {}
        """What is pinned in single conversations besides, by id."""
        self.readings = frozenset(config.readings)
        refuse_unsupported(model, [Request((), controls=self.controls, readings=self.readings)])
        self.local = as_local(model)
        """The model, if it runs in this process."""
        self.sampling = replace(agent.sampling, logprobs=self.local is not None)
        """How replies are drawn, but for what a request says."""
        self.store = ConversationStore(config.store)
        self.annotations = Annotations(self.store.engine)
        self.sessions = Sessions(model, config.max_conversations)
        self.limits, self.metrics = Limits(config), Metrics()
        self.listeners: list[Callable[[Addition], None]] = []
        """Told, in the event loop, of all turns that were kept."""
        self.under_way: set[Exchange] = set()
        """Those that are not closed."""
        self.started = int(time.time())
        self._worker: Worker | None = None
        self._closed = False
        self._writers = ThreadPoolExecutor(
            1 if self.store.is_sqlite else STORE_THREADS, thread_name_prefix="telic-store"
        )
        self._background: set[asyncio.Task[None]] = set()
        if self.local is not None:
            _limit_memory(self.local, config)

    @cached_property
    def observer(self) -> Observer:
        """What looks aside in conversations.

        Raises:
            ConfigError: the readers that the settings name cannot be used.
        """
        return Observer(self)

    async def start(self) -> None:
        """Start the threads, and read what every conversation begins with."""
        self._worker = worker_of(self.model)
        if self.local is not None:
            session = Session(self.local)
            messages = (*self.system(""), Message(role="user", content="Hi"))
            sampling = Sampling(max_new_tokens=1, temperature=0)
            [reply] = await self.answer([Request(messages, sampling, self.controls, cache=session.cache)])
            if reply.failure is not None or reply.finish == "context":
                detail = reply.failure.detail if reply.failure else "it fills the context"
                raise ModelError(f"model {self.model.name!r} cannot read the system prompt: {detail}")
            self.sessions.beginning = session

    async def close(self) -> None:
        """Cut off what is still under way, write down what is left to write, and end all threads."""
        for exchange in list(self.under_way):  # those of pages: nobody ends them before the writers do
            exchange.close()
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)
        if self._worker is not None:
            await asyncio.to_thread(self._worker.close)
        self._closed = True
        await asyncio.to_thread(self._writers.shutdown)
        self.store.close()

    @property
    def alive(self) -> bool:
        """Whether requests would be answered."""
        return self._worker is not None and self._worker.alive and not self._closed

    def set_controls(self, controls: Sequence[Control], conversation: str | None = None) -> None:
        """From the next turn on, let other controls act: everywhere, or in one conversation.

        Raises:
            UnsupportedControlError: one cannot act on this model.
        """
        refuse_unsupported(self.model, [Request((), controls=tuple(controls))])
        if conversation is None:
            self.controls = tuple(controls)
        else:
            self.own_controls[conversation] = tuple(controls)

    def controls_of(self, conversation: str | None) -> tuple[Control, ...]:
        """What acts on a conversation, its pins aside."""
        return self.controls if conversation is None else self.own_controls.get(conversation, self.controls)

    async def begin(
        self,
        user: str,
        body: ChatRequest,
        named: str | None = None,
        *,
        pinned: Sequence[Control] | None = None,
        readings: Iterable[str] = (),
    ) -> Exchange:
        """Find the conversation that goes on, or begin one, and have it answered.

        Args:
            user: who speaks.
            body: the request.
            named: id of the conversation, if the client says so.
            pinned: the pins of this reply, as `Observer.pinned` makes them; by default those of the conversation.
            readings: what is read off this reply, besides what is read off every one.

        Raises:
            ApiError: the request asks for what it cannot have.
        """
        history = History.of(user, [message.message for message in body.messages])
        count = body.n or 1
        if count > self.config.max_choices:
            raise ApiError(400, f"n is {count}; expected at most {self.config.max_choices}", param="n")
        if len(body.messages) > self.config.max_messages:
            limit = self.config.max_messages
            raise ApiError(400, f"{len(body.messages)} messages; expected at most {limit}", param="messages")
        if self.config.client_system == "refuse" and any(m.role in ("system", "developer") for m in body.messages):
            raise ApiError(400, "this server takes no system message: its purpose has one", param="messages")
        if body.logprobs and self.local is None:
            raise ApiError(400, "log-probabilities cannot be had of this server's model", param="logprobs")
        sampling = body.sampling(self.sampling, self.config.max_new_tokens)
        place = await self._place(history, named)
        try:
            if pinned is None:
                pins = self.pins.get(place.conversation)
                pinned = self.observer.pinned(pins) if pins else ()
            controls = (*self.controls_of(place.conversation), *pinned)
            exchange = self._exchange(history, place, sampling, controls, count, self.readings | frozenset(readings))
        except BaseException:  # nobody has it who could let it go
            self.sessions.busy.discard(place.conversation)
            raise
        self.under_way.add(exchange)
        return exchange

    def _exchange(
        self,
        history: History,
        place: Place,
        sampling: Sampling,
        controls: tuple[Control, ...],
        count: int,
        readings: frozenset[str],
    ) -> Exchange:
        session = self.sessions.open(place.conversation, place.parent)
        messages = (*self.system(history.system), *history.said)
        exchange = Exchange(self, history, place, session, self.setup(controls), sampling)
        for index in range(count):
            seed = None if sampling.seed is None else sampling.seed + index
            drawn = replace(sampling, seed=seed)
            exchange.submit(Request(messages, drawn, controls, readings, session.cache, keep=index == 0))
        return exchange

    def hand_in(self, request: Request, hear: Callable[[Event], None]) -> Ticket:
        """Have a request answered."""
        assert self._worker is not None, "the service was not started"
        return self._worker.submit(request, hear)

    async def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests that belong to no conversation, beside those under way."""
        replies: list[asyncio.Future[Reply]] = [asyncio.get_running_loop().create_future() for _ in requests]

        def hear(reply: asyncio.Future[Reply], event: Event) -> None:
            if isinstance(event, Reply) and not reply.done():
                reply.set_result(event)

        tickets = [
            self.hand_in(request, partial(hear, reply)) for request, reply in zip(requests, replies, strict=True)
        ]
        try:
            return [await reply for reply in replies]
        finally:
            for ticket, reply in zip(tickets, replies, strict=True):
                if not reply.done() or reply.cancelled():
                    self.give_up(ticket)

    def give_up(self, ticket: Ticket) -> None:
        """Answer a request no further."""
        assert self._worker is not None, "the service was not started"
        self._worker.give_up(ticket)

    async def keep(self, addition: Addition) -> None:
        """Write turns down; they are on disk when this returns.

        Raises:
            ApiError: they are not: the conversation changed meanwhile, or the store failed.
        """
        try:
            await self.in_store(partial(self.store.add, addition))
        except ConflictError as error:
            raise ApiError(409, str(error), code="conversation_changed") from None
        except SQLAlchemyError as error:
            raise ApiError(503, "the reply could not be kept, and is not given; try again later") from error
        self.metrics.turns.inc(len(addition.turns))
        for listener in self.listeners:
            listener(addition)

    async def forget(self, user: str) -> int:
        """Delete all that is kept of a user; returns the number of conversations."""
        gone = await self.in_store(partial(self.store.delete, user))
        self.sessions.drop(gone)
        for conversation in gone:
            self.own_controls.pop(conversation, None)
            self.pins.pop(conversation, None)
        return len(gone)

    async def in_store(self, work: Callable[[], T]) -> T:
        """Do something with the store, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, work)

    def behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for, and that a shutdown does wait for."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def token_text(self, token: int) -> str:
        """A single token as text."""
        assert self.local is not None
        return str(self.local.tokenizer.decode([token], clean_up_tokenization_spaces=False))

    async def _place(self, history: History, named: str | None) -> Place:
        """Where the conversation is in the store. From here on, it is this exchange's alone."""
        try:
            matches = await self.in_store(partial(self.store.find, history.user, history.digests, named))
            if (
                named is not None
                and not matches
                and not await self.in_store(partial(self.store.has, history.user, named))
            ):
                raise ApiError(404, "there is no such conversation of this user", code="conversation_not_found")
        except SQLAlchemyError as error:
            raise ApiError(503, "the store of conversations does not answer; try again later") from error
        longest = [match for match in matches if match.length == matches[0].length]
        going_on = next((m for m in longest if m.whole and m.conversation not in self.sessions.busy), None)
        if going_on is not None:
            place = Place(going_on.conversation, going_on.length, new=False)
        elif matches:
            place = Place(uuid4().hex, matches[0].length, new=True, parent=matches[0].conversation)
        else:
            place = Place(uuid4().hex, 0, new=True, parent=named)
        self.sessions.busy.add(place.conversation)
        return place

    def system(self, own: str) -> tuple[Message, ...]:
        """The purpose's system prompt, and after it the client's own."""
        text = "\n\n".join(filter(None, (self.purpose.system_prompt, own)))
        return (Message(role="system", content=text),)

    def setup(self, controls: Sequence[Control]) -> Setup:
        """Under what a reply with these controls is given."""
        content = {
            "purpose": self.purpose.name,
            "system": self.purpose.system_prompt,
            "model": self.model.name,
            "controls": [control.spec() for control in controls],  # the planner is one of them
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return Setup(hashlib.sha256(text.encode()).hexdigest(), json.loads(text))


def _limit_memory(model: LocalModel, config: ServeConfig) -> None:
    cache_bytes = None if config.cache_megabytes is None else config.cache_megabytes << 20
    model.limit(max_batch=config.max_batch, context=config.max_context, cache_bytes=cache_bytes)
