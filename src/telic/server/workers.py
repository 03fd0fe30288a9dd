"""Who answers: requests of many clients at once, each heard piece by piece, each free to be given up.

A local model belongs to one thread. Between two passes over its batch the thread takes in what has arrived, so that a
new request decodes beside those under way. Any other model streams in a few threads.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from telic.errors import Failure
from telic.models import Model, Reply, Request
from telic.models.capabilities import LimitsConcurrency

if TYPE_CHECKING:
    from collections.abc import Generator

    from telic.models.local import LocalModel
    from telic.models.local.sequences import RequestState

__all__ = ["Event", "LocalWorker", "Piece", "ThreadWorker", "Ticket", "Worker", "as_local", "worker_of"]

PASS_TOKENS = 96
"""Prompt tokens that a local model reads in one pass: about three short turns, so that those who ask together are not
all answered as late as the last."""
THREADS = 8
"""Requests answered at once by a model that does not say how many it takes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reply has grown by."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Of these tokens, if the request asked for them."""


Event: TypeAlias = Piece | Reply


@dataclass(slots=True, eq=False)
class Ticket:
    """A request handed in. `hear` is called in the event loop: pieces, and at last the whole `Reply`."""

    request: Request
    hear: Callable[[Event], None]
    given_up: bool = False
    state: RequestState | None = None
    shown: int = 0
    """Characters told so far."""
    told: int = 0
    """Tokens told so far."""

    @property
    def spent(self) -> int:
        """Tokens computed so far, as far as that is known."""
        read = self.state.computed_tokens if self.state else 0
        return read + self.told


class Worker(Protocol):
    """Answers requests as they come."""

    def submit(self, request: Request, hear: Callable[[Event], None]) -> Ticket:
        """Hand in a request, from the event loop."""
        ...

    def give_up(self, ticket: Ticket) -> None:
        """Answer it no further: nobody listens any more."""
        ...

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        ...

    def close(self) -> None:
        """End all work and the threads; what is under way is given up."""
        ...


def as_local(model: Model) -> LocalModel | None:
    """The model, if it is a local one; where it is not, nothing that local models need is imported."""
    module = sys.modules.get("telic.models.local")
    return cast("LocalModel", model) if module is not None and isinstance(model, module.LocalModel) else None


def worker_of(model: Model) -> Worker:
    """Who answers for a model. Called in the event loop."""
    local = as_local(model)
    return ThreadWorker(model) if local is None else LocalWorker(local)


class LocalWorker:
    """One thread that owns a local model."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        model.engine.pass_tokens = PASS_TOKENS
        self._loop = asyncio.get_running_loop()
        self._arrivals: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        """A ticket that comes twice is one to give up; None is the end."""
        self._live: list[Ticket] = []
        self._thread = threading.Thread(target=self._run, name="telic-engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, hear: Callable[[Event], None]) -> Ticket:
        """Hand in a request; it joins the batch before the next pass."""
        ticket = Ticket(request, hear)
        self._arrivals.put(ticket)
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """Take a request out of the batch before the next pass."""
        ticket.given_up = True
        self._arrivals.put(ticket)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Give up on everything, and wait for the pass under way."""
        self._arrivals.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._take_in():
            if self._live:
                _deliver(self._loop, self._advance())
        for ticket in self._live:
            self._drop(ticket)

    def _take_in(self) -> bool:
        """Take in what has arrived; wait for it where there is nothing else to do. False at the end."""
        wait = not self._live
        while True:
            try:
                ticket = self._arrivals.get(block=wait)
            except queue.Empty:
                return True
            if ticket is None:
                return False
            wait = False
            if ticket.given_up:
                self._drop(ticket)
            elif ticket.state is None:
                ticket.state = self._model.submit(ticket.request)
                self._live.append(ticket)

    def _drop(self, ticket: Ticket) -> None:
        if ticket.state is not None:
            self._model.cancel(ticket.state)
        self._live = [other for other in self._live if other is not ticket]

    def _advance(self) -> list[tuple[Ticket, Event]]:
        """Run one pass, and collect what there is to tell."""
        waiting = next((t.state for t in self._live if t.state and t.state.reply is None), None)
        try:
            if waiting is not None:  # else whoever else works on this model has brought them to their end
                self._model.step(waiting)
        except Exception as error:  # out of memory, say: those under way are lost, the server is not
            lost, self._live = self._live, []
            self._model.reset()
            return [(ticket, _failed(error)) for ticket in lost]
        news = [(ticket, event) for ticket in self._live for event in self._news(ticket)]
        self._live = [ticket for ticket in self._live if ticket.state and ticket.state.reply is None]
        return news

    def _news(self, ticket: Ticket) -> Iterator[Event]:
        state = ticket.state
        if state is None:
            return
        until, reply = self._model.final_length(state), state.reply
        if until > ticket.shown:
            end = len(state.generated) if reply is None else len(reply.token_ids)
            ids = (state.generated if reply is None else reply.token_ids)[ticket.told : end]
            yield Piece(state.text[ticket.shown : until], tuple(ids), tuple(state.logprobs[ticket.told : end]))
            ticket.shown, ticket.told = until, end
        if reply is not None:
            yield reply


@dataclass(slots=True)
class ThreadWorker:
    """Threads, in each of which a model streams one reply at a time."""

    model: Model
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _threads: ThreadPoolExecutor = field(init=False)
    _live: set[Ticket] = field(default_factory=set)

    def __post_init__(self) -> None:
        count = self.model.concurrency if isinstance(self.model, LimitsConcurrency) else THREADS
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="telic-model")

    def submit(self, request: Request, hear: Callable[[Event], None]) -> Ticket:
        """Hand in a request; it is answered as soon as a thread is free."""
        ticket = Ticket(request, hear)
        self._live.add(ticket)
        self._threads.submit(self._answer, ticket)
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """Read no further than the next piece."""
        ticket.given_up = True

    @property
    def alive(self) -> bool:
        """Always: a thread that fails takes its own request with it only."""
        return True

    def close(self) -> None:
        """Give up on everything, and wait for the pieces under way."""
        for ticket in list(self._live):
            ticket.given_up = True
        self._threads.shutdown(cancel_futures=True)

    def _answer(self, ticket: Ticket) -> None:
        try:
            if not ticket.given_up:
                self._stream(ticket)
        except Exception as error:  # a model from elsewhere: this request is lost, the server is not
            _deliver(self._loop, [(ticket, _failed(error))])
        finally:
            self._live.discard(ticket)

    def _stream(self, ticket: Ticket) -> None:
        # Closing the generator is what ends the work of a reply that nobody wants any more.
        with closing(cast("Generator[str | Reply]", self.model.stream(ticket.request))) as pieces:
            for piece in pieces:
                if ticket.given_up:
                    return
                _deliver(self._loop, [(ticket, Piece(piece) if isinstance(piece, str) else piece)])


def _failed(error: Exception) -> Reply:
    return Reply("", "error", failure=Failure("model", "exception", f"the model failed: {error}"))


def _deliver(loop: asyncio.AbstractEventLoop, news: Sequence[tuple[Ticket, Event]]) -> None:
    """Tell all of it in the event loop, which is woken once."""

    def tell() -> None:
        for ticket, event in news:
            if not ticket.given_up:
                ticket.hear(event)

    if news:
        with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
            loop.call_soon_threadsafe(tell)
