"""Playing many episodes at once: an episode goes on with each reply that it gets, and its next requests join the batch.

An episode is a generator that yields requests and is sent their replies. Each model has a worker, which keeps it busy
for as long as any request is queued for it: requests that its own replies lead to join the running batch at once, and
so do those that come from other workers. With several models each worker has a thread of its own, so that a local
model computes while a remote one is waited for.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeVar

from telic.episodes import Episode
from telic.models import Model, Reply, Request

__all__ = ["ModelRequest", "RequestGenerator", "ask", "drive"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ModelRequest:
    """A request, and the model that answers it."""

    model: Model
    request: Request


RequestGenerator = Generator[Sequence[ModelRequest], tuple[ModelRequest, Reply], T]
"""Yields the requests that can be made now, perhaps none while others wait for their replies. Each `yield` gives one
reply, with the request that it answers, in the order in which the replies come. It returns once all are answered."""


def ask(model: Model, request: Request) -> RequestGenerator[Reply]:
    """Make one request and return its reply, for generators that wait for each reply before they go on.

    In a generator: `reply = yield from ask(model, request)`.
    """
    _, reply = yield [ModelRequest(model, request)]
    return reply


def drive(
    episodes: Iterable[RequestGenerator[Episode]],
    models: Iterable[Model],
    *,
    concurrency: int,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
) -> None:
    """Play episodes, `concurrency` of them at once.

    Args:
        episodes: taken one by one, as others end.
        models: all models that the episodes may ask.
        concurrency: episodes that are played at once.
        on_episode: called with each episode as it ends; never called twice at the same time.
        on_reply: called with every reply; may be called from several threads.
    """
    _Driver(iter(episodes), models, on_episode, on_reply).run(concurrency)


class _CancelledError(Exception):
    """The run failed in another thread."""


@dataclass(eq=False)
class _ActiveEpisode:
    """An episode that is being played."""

    generator: RequestGenerator[Episode]
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Replies of several models may come at the same time."""


_Queued = tuple[_ActiveEpisode, ModelRequest]


class _Driver:
    def __init__(
        self,
        episodes: Iterator[RequestGenerator[Episode]],
        models: Iterable[Model],
        on_episode: Callable[[Episode], None],
        on_reply: Callable[[Reply], None] | None,
    ) -> None:
        self.episodes, self.on_episode, self.on_reply = episodes, on_episode, on_reply
        self.workers = {id(model): _ModelWorker(model, self) for model in models}
        self.lock = threading.Lock()
        self.active = 0
        self.failure: BaseException | None = None

    def run(self, concurrency: int) -> None:
        for _ in range(concurrency):
            started = self._start_next()
            if not started:
                break
            self.active += 1
            self.enqueue(started)
        if not self.active:
            return
        workers = list(self.workers.values())
        if len(workers) == 1:
            workers[0].work()
            return
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # short, so that an interruption is noticed
        except BaseException as interruption:
            self.stop(interruption)
            raise
        if self.failure is not None:
            raise self.failure

    def enqueue(self, queued: Iterable[_Queued]) -> None:
        """Queue requests for their models."""
        for episode, request in queued:
            self.workers[id(request.model)].queue.put((episode, request))

    def resume(self, episode: _ActiveEpisode, request: ModelRequest, reply: Reply) -> list[_Queued]:
        """Give an episode a reply, and return its next requests. If it ends, start the next episode in its place."""
        if self.on_reply is not None:
            self.on_reply(reply)
        if self.failure is not None:
            raise _CancelledError
        try:
            with episode.lock:
                return [(episode, further) for further in episode.generator.send((request, reply))]
        except StopIteration as end:
            self._end(end.value)
        started = self._start_next()
        if not started:
            with self.lock:
                self.active -= 1
                if not self.active:
                    self._close_queues()
        return started

    def stop(self, failure: BaseException) -> None:
        """Stop all workers: at their next reply, or now if they wait."""
        with self.lock:
            self.failure = self.failure or failure
            self._close_queues()

    def _work(self, worker: _ModelWorker) -> None:
        try:
            worker.work()
        except _CancelledError:
            return
        except BaseException as error:  # the main thread raises it
            self.stop(error)

    def _start_next(self) -> list[_Queued]:
        """Start the next episode that makes requests; those that make none end here."""
        while True:
            with self.lock:
                generator = next(self.episodes, None)
            if generator is None:
                return []
            episode = _ActiveEpisode(generator)
            try:
                return [(episode, request) for request in next(generator)]
            except StopIteration as end:
                self._end(end.value)

    def _end(self, episode: Episode) -> None:
        with self.lock:
            self.on_episode(episode)

    def _close_queues(self) -> None:
        for worker in self.workers.values():
            worker.queue.put(None)


class _ModelWorker:
    """Sends the requests that are queued for one model, and passes on the replies."""

    def __init__(self, model: Model, driver: _Driver) -> None:
        self.model, self.driver = model, driver
        self.queue: SimpleQueue[_Queued | None] = SimpleQueue()
        """None is the last item."""
        self.closed = False
        self.waiting: dict[int, _Queued] = {}
        """By their index in the running batch: the requests without a reply."""
        self.indices = itertools.count()

    def work(self) -> None:
        while not self.closed:
            first = self.queue.get()
            if first is None:
                return
            self.indices = itertools.count()
            self.model.generate(self._add([first, *self._take_queued()]), self._on_reply)

    def _on_reply(self, index: int, reply: Reply) -> list[Request]:
        further = self.driver.resume(*self.waiting.pop(index), reply)
        own = [queued for queued in further if queued[1].model is self.model]
        self.driver.enqueue(queued for queued in further if queued[1].model is not self.model)
        return self._add([*own, *self._take_queued()])

    def _take_queued(self) -> list[_Queued]:
        taken: list[_Queued] = []
        while True:
            try:
                queued = self.queue.get_nowait()
            except Empty:
                return taken
            if queued is None:
                self.closed = True
                return taken
            taken.append(queued)

    def _add(self, queued: Iterable[_Queued]) -> list[Request]:
        """Add requests to the running batch."""
        requests = []
        for episode, request in queued:
            self.waiting[next(self.indices)] = (episode, request)
            requests.append(request.request)
        return requests
