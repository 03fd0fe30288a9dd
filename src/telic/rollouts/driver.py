"""Playing many episodes at once: whenever a reply is there, its episode goes on, and its next request joins the batch.

Each model has a lane. A lane gathers the requests that wait for its model and keeps it busy for as long as there are
any: what its own replies bring about joins at once, and so does what comes from other lanes. With several models the
lanes work in threads of their own, so that a local model computes while a remote one is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

from telic.episodes import Episode
from telic.models import Model, Reply, Request
from telic.rollouts.record import Ask, Playing

__all__ = ["drive"]

Waiting = tuple[Playing, Ask]


def drive(
    episodes: Iterable[Playing],
    models: Iterable[Model],
    *,
    concurrency: int,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
) -> None:
    """Play episodes, so many at once that the models are kept busy.

    Args:
        episodes: taken one by one, as others end.
        models: all that they may ask.
        concurrency: episodes under way at once.
        on_episode: gets each episode as it ends; never called twice at the same time.
        on_reply: hears of every reply; may be called from several threads.
    """
    _Driver(iter(episodes), models, on_episode, on_reply).run(concurrency)


class _StoppedError(Exception):
    """Something failed elsewhere: the lanes give up what they are at."""


class _Driver:
    def __init__(
        self,
        episodes: Iterator[Playing],
        models: Iterable[Model],
        on_episode: Callable[[Episode], None],
        on_reply: Callable[[Reply], None] | None,
    ) -> None:
        self.episodes, self.on_episode, self.on_reply = episodes, on_episode, on_reply
        self.lanes = {id(model): _Lane(model, self) for model in models}
        self.lock = threading.Lock()
        self.under_way = 0
        self.failure: BaseException | None = None

    def run(self, concurrency: int) -> None:
        for _ in range(concurrency):
            waiting = self._begin()
            if waiting is None:
                break
            self.under_way += 1
            self.send(waiting)
        if not self.under_way:
            return
        lanes = list(self.lanes.values())
        if len(lanes) == 1:
            lanes[0].work()
            return
        threads = [threading.Thread(target=self._guarded, args=(lane,), daemon=True) for lane in lanes]
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

    def send(self, waiting: Waiting) -> None:
        """Put a request into the lane of its model."""
        self.lanes[id(waiting[1].model)].inbox.put(waiting)

    def go_on(self, playing: Playing, reply: Reply) -> Waiting | None:
        """Give an episode its reply. If it ends with that, the next one takes its place."""
        if self.on_reply is not None:
            self.on_reply(reply)
        if self.failure is not None:
            raise _StoppedError
        try:
            return playing, playing.send(reply)
        except StopIteration as end:
            self._ended(end.value)
        waiting = self._begin()
        if waiting is None:
            with self.lock:
                self.under_way -= 1
                if not self.under_way:
                    self._close()
        return waiting

    def stop(self, failure: BaseException) -> None:
        """Let all lanes end: with the next reply, or now if they wait."""
        with self.lock:
            self.failure = self.failure or failure
            self._close()

    def _guarded(self, lane: _Lane) -> None:
        try:
            lane.work()
        except _StoppedError:
            return
        except BaseException as error:  # goes on in the main thread
            self.stop(error)

    def _begin(self) -> Waiting | None:
        """The next episode that has a request; those that have none are played here and now."""
        while True:
            with self.lock:
                playing = next(self.episodes, None)
            if playing is None:
                return None
            try:
                return playing, next(playing)
            except StopIteration as end:
                self._ended(end.value)

    def _ended(self, episode: Episode) -> None:
        with self.lock:
            self.on_episode(episode)

    def _close(self) -> None:
        for lane in self.lanes.values():
            lane.inbox.put(None)


class _Lane:
    """What waits for one model."""

    def __init__(self, model: Model, driver: _Driver) -> None:
        self.model, self.driver = model, driver
        self.inbox: SimpleQueue[Waiting | None] = SimpleQueue()
        self.asked: list[Playing] = []
        """Whose request is the one of an index, in the batch under way."""
        self.closed = False

    def work(self) -> None:
        while not self.closed:
            first = self.inbox.get()
            if first is None:
                return
            self.asked = []
            self.model.generate(self._enlist([first, *self._arrived()]), self._react)

    def _react(self, index: int, reply: Reply) -> list[Request]:
        waiting = self.driver.go_on(self.asked[index], reply)
        own = []
        if waiting is not None and waiting[1].model is self.model:
            own.append(waiting)
        elif waiting is not None:
            self.driver.send(waiting)
        return self._enlist([*own, *self._arrived()])

    def _arrived(self) -> list[Waiting]:
        found: list[Waiting] = []
        while True:
            try:
                waiting = self.inbox.get_nowait()
            except Empty:
                return found
            if waiting is None:
                self.closed = True
                return found
            found.append(waiting)

    def _enlist(self, waiting: Iterable[Waiting]) -> list[Request]:
        requests = []
        for playing, ask in waiting:
            self.asked.append(playing)
            requests.append(ask.request)
        return requests
