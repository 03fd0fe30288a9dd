"""Playing on Ray: copies of the players in worker processes, on this machine or on a cluster.

Every worker has a few more tasks in hand than it plays at once, so that its batch stays full for as long as there are
any, and gives back the episodes as they end. What a worker had in hand when it was lost is dealt again. An episode
follows from its task alone, so it comes out the same wherever and however often it is played.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import Any

from telic.agents.player import Player
from telic.episodes import Episode
from telic.errors import ConfigError, MissingExtraError, RunError
from telic.models import Model
from telic.rollouts.play import play_tasks
from telic.rollouts.record import Task

__all__ = ["RayWorkers"]

POLL = 0.1
"""Seconds between two exchanges with a worker."""


@dataclass(frozen=True)
class RayWorkers:
    """Workers on a Ray cluster."""

    address: str = "local"
    """The cluster's address, `auto` for the one that this machine is part of, `local` for one of its own."""
    workers: int | None = None
    """Copies of the players; by default one for each node."""
    cpus: float = 1
    """Processors that a worker claims; it computes with as many threads."""
    gpus: float = 0
    """Accelerators that a worker claims."""
    restarts: int = 10
    """Workers that may be lost before the run is given up."""

    def play(
        self,
        tasks: Sequence[Task],
        make: Callable[[], Mapping[str, Player]],
        judge: Model | str | None,
        concurrency: int,
        on_episode: Callable[[Episode], None],
    ) -> None:
        """Play tasks; see `telic.rollouts.play`.

        Raises:
            ConfigError: the judge is a model and not its name; or what the players raise.
            MissingExtraError: Ray is not installed.
            RunError: the cluster cannot be reached, or too many workers were lost.
        """
        if not (judge is None or isinstance(judge, str)):
            raise ConfigError("on Ray a judge is loaded by the workers: give its name instead of the model")
        ray = _ray()
        started = not ray.is_initialized()
        if started:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **_own(self.address))
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise RunError(f"cannot reach Ray at {self.address!r}: {error}") from None
        try:
            _Table(ray, self, tasks, (make, judge, concurrency), on_episode).run()
        finally:
            if started:
                ray.shutdown()


@dataclass(eq=False)
class _Hand:
    """What the driver knows of a worker."""

    actor: Any
    tasks: dict[str, Task] = field(default_factory=dict)
    """Dealt to it, and not given back."""
    ready: bool = False
    """Whether it has answered once: one that still waits for room on a node is dealt nothing."""
    told: bool = False
    """Whether it knows that there is nothing left to deal."""


class _Table:
    """The driver: deals tasks, collects episodes, replaces who is lost."""

    def __init__(
        self,
        ray: Any,
        config: RayWorkers,
        tasks: Sequence[Task],
        setup: tuple[Any, Any, int],
        on_episode: Callable[[Episode], None],
    ) -> None:
        self.ray, self.config, self.setup, self.on_episode = ray, config, setup, on_episode
        self.size = setup[2] + setup[2] // 4 + 1
        """Tasks that a worker has in hand: those under way, and some for the time until the next exchange."""
        self.waiting = deque(tasks)
        self.left = len(tasks)
        self.lost = 0
        self.hands: list[_Hand] = []
        self.promises: dict[Any, tuple[_Hand, bool]] = {}
        """Whose they are, and whether they are of an exchange or of its whole play."""

    def run(self) -> None:
        nodes = sum(bool(node["Alive"]) for node in self.ray.nodes())
        try:
            for _ in range(min(self.config.workers or nodes, self.left)):
                self._hire()
            while self.left:
                time.sleep(POLL)
                self._collect()
        finally:
            for hand in self.hands:
                self.ray.kill(hand.actor)

    def _collect(self) -> None:
        kept, _ = self.ray.wait(list(self.promises), num_returns=len(self.promises), timeout=0)
        for promise in kept:
            hand, exchange = self.promises.pop(promise)
            if hand not in self.hands:  # lost, as another promise of it has told
                continue
            try:
                records = self.ray.get(promise)
            except self.ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except self.ray.exceptions.RayError as error:  # it died, or cannot be reached any more
                self._replace(hand, error)
                continue
            hand.ready = True
            self._take(hand, records or [])
            if exchange:
                self._exchange(hand)

    def _take(self, hand: _Hand, records: Sequence[str]) -> None:
        for record in records:
            episode = Episode.model_validate_json(record)
            del hand.tasks[episode.id]
            self.left -= 1
            self.on_episode(episode)

    def _exchange(self, hand: _Hand) -> None:
        """Deal what the worker has room for; what has ended since comes back."""
        dealt = []
        while hand.ready and self.waiting and len(hand.tasks) < self.size:
            task = self.waiting.popleft()
            hand.tasks[task.id] = task
            dealt.append(task)
        if dealt:
            hand.told = False
        last = hand.ready and not self.waiting and not hand.told
        hand.told |= last
        self.promises[hand.actor.exchange.remote(dealt, last)] = (hand, True)

    def _replace(self, hand: _Hand, error: Exception) -> None:
        self.lost += 1
        self.hands.remove(hand)
        self.ray.kill(hand.actor)  # should it only be out of reach
        if self.lost > self.config.restarts:
            raise RunError(f"{self.lost} workers were lost, the last one with: {error}. The episodes played are kept.")
        self.waiting.extendleft(reversed(hand.tasks.values()))
        self._hire()

    def _hire(self) -> None:
        # Where one was lost with its node, the new one waits for room on another; the others play on meanwhile.
        options = {"num_cpus": self.config.cpus, "num_gpus": self.config.gpus, "scheduling_strategy": "SPREAD"}
        made = self.ray.remote(_Worker).options(max_concurrency=2, **options).remote(*self.setup)
        hand = _Hand(made)
        self.hands.append(hand)
        self.promises[made.play.remote()] = (hand, False)
        self._exchange(hand)


class _Worker:
    """Plays what it is dealt, with players of its own: `play` in one thread, exchanges in another."""

    def __init__(self, make: Callable[[], Mapping[str, Player]], judge: str | None, concurrency: int) -> None:
        self.make, self.judge, self.concurrency = make, judge, concurrency
        self.inbox: SimpleQueue[Task | None] = SimpleQueue()
        self.ended: SimpleQueue[str] = SimpleQueue()

    def play(self) -> None:
        """Go on until it is killed. An error of the players ends it, and reaches the driver."""
        players = self.make()
        while True:
            task = self.inbox.get()
            if task is not None:
                play_tasks(chain([task], self._dealt()), players, self.judge, self.concurrency, self._hand_in)

    def exchange(self, tasks: list[Task], last: bool) -> list[str]:
        """Take tasks, and whether they are the last; give back the episodes that have ended."""
        for task in tasks:
            self.inbox.put(task)
        if last:
            self.inbox.put(None)
        return [self.ended.get() for _ in range(self.ended.qsize())]  # nobody else takes any

    def _dealt(self) -> Iterator[Task]:
        while (task := self.inbox.get()) is not None:
            yield task

    def _hand_in(self, episode: Episode) -> None:
        self.ended.put(episode.model_dump_json())


def _ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("playing on Ray", "ray")
    import ray

    return ray


def _own(address: str) -> dict[str, Any]:
    """Settings of a cluster of our own; those of one that exists are not ours to make."""
    return {"include_dashboard": False} if address == "local" else {}
