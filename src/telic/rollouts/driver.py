"""Playing many episodes at once: an episode goes on with each reply that it gets, and its next requests join the batch.

An episode is a generator that yields requests and is sent their replies (`telic.models.requesting`). Each model has a
worker, which keeps it busy for as long as any request is queued for it: requests that its own replies lead to join the
running batch at once, and so do those that come from other workers. With several models each worker has a thread of its
own, so that a local model computes while a remote one is waited for.

This is the one scheduler of dialogues, so a deadline is kept here: it admits no episode that would not end in time
(`telic.rollouts.admission`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from telic.episodes import Episode
from telic.models import Model, Reply, Request
from telic.models.requesting import ModelRequest, RequestGenerator
from telic.rollouts.admission import Admission, EpisodeTiming

__all__ = ["drive"]


def drive(
    episodes: Iterable[RequestGenerator[Episode]],
    models: Iterable[Model],
    *,
    concurrency: int,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
    admission: Admission | None = None,
) -> None:
    """Play episodes, `concurrency` of them at once.

    Args:
        episodes: taken one by one, as others end.
        models: all models that the episodes may ask.
        concurrency: episodes that are played at once.
        on_episode: called with each episode as it ends; never called twice at the same time.
        on_reply: called with every reply; may be called from several threads.
        admission: decides whether the next episode still starts; by default all do.
    """
    _Driver(iter(episodes), models, concurrency, on_episode, on_reply, admission).run()


class _CancelledError(Exception):
    """The run failed in another thread."""


@dataclass(eq=False)
class _ActiveEpisode:
    """An episode that is being played."""

    generator: RequestGenerator[Episode]
    timing: EpisodeTiming | None
    """For the admission of further episodes, if there is a limit to it."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Replies of several models may come at the same time."""


_Queued = tuple[_ActiveEpisode, ModelRequest]


class _Driver:
    def __init__(
        self,
        episodes: Iterator[RequestGenerator[Episode]],
        models: Iterable[Model],
        concurrency: int,
        on_episode: Callable[[Episode], None],
        on_reply: Callable[[Reply], None] | None,
        admission: Admission | None,
    ) -> None:
        self.episodes, self.on_episode, self.on_reply = episodes, on_episode, on_reply
        self.concurrency, self.admission = concurrency, admission
        self.workers = {id(model): _ModelWorker(model, self) for model in models}
        self.lock = threading.Lock()
        self.active = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        self.enqueue(self._start_episodes())
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
        """Give an episode a reply, and return its next requests, with those of the episodes that start now."""
        if self.on_reply is not None:
            self.on_reply(reply)
        if self.failure is not None:
            raise _CancelledError
        if self.admission is not None and episode.timing is not None:
            with self.lock:
                self.admission.reply(episode.timing)
        further: list[_Queued] = []
        try:
            with episode.lock:
                further = [(episode, made) for made in episode.generator.send((request, reply))]
        except StopIteration as end:
            self._end(episode, end.value)
        further += self._start_episodes()
        with self.lock:
            if not self.active:
                self._close_queues()
        return further

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

    def _start_episodes(self) -> list[_Queued]:
        """Start as many episodes as may be played at once, and return their requests."""
        queued: list[_Queued] = []
        while (episode := self._next_episode()) is not None:
            try:
                queued += [(episode, request) for request in next(episode.generator)]
            except StopIteration as end:  # it makes no requests
                self._end(episode, end.value)
        return queued

    def _next_episode(self) -> _ActiveEpisode | None:
        """Take the next episode, if one may start now."""
        with self.lock:
            if self.active >= self.concurrency or not (self.admission is None or self.admission.admits()):
                return None
            generator = next(self.episodes, None)
            if generator is None:
                return None
            self.active += 1
            return _ActiveEpisode(generator, None if self.admission is None else self.admission.start())

    def _end(self, ended: _ActiveEpisode, episode: Episode) -> None:
        with self.lock:
            if self.admission is not None and ended.timing is not None:
                self.admission.end(ended.timing)
            self.active -= 1
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
