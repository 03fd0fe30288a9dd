"""Workers on Ray: copies of the models in worker processes, on this machine or on a cluster.

The scheduler assigns each worker a few more tasks than it plays at once, so that its batch stays full, and collects the
episodes as they end. The tasks of a lost worker are assigned again. An episode is a function of its task, so it is the
same wherever and however often it is played.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import Any

from telic.episodes import Episode
from telic.errors import MissingExtraError, RunError
from telic.rollouts.workers import TaskRunner, Workers, WorkerTask

__all__ = ["RayWorkers", "place"]

POLL_SECONDS = 0.1
"""Time between two exchanges with a worker."""


@dataclass(frozen=True)
class RayWorkers(Workers):
    """Workers on a Ray cluster."""

    address: str = "local"
    """Address of the cluster; `auto` for the cluster of this machine, `local` to start one."""
    workers: int | None = None
    """Number of workers; by default one per node, or with `replica_gpus` as many as the cluster's GPUs allow."""
    cpus: float = 1
    """CPUs per worker, which is also its number of threads."""
    gpus: float = 0
    """GPUs per worker."""
    replica_gpus: int = 0
    """GPUs per worker on a cluster that has any, instead of `gpus`: those that its models on vLLM need."""
    restarts: int = 10
    """Number of lost workers after which the run fails."""

    def play(
        self,
        tasks: Sequence[WorkerTask],
        make: Callable[[], TaskRunner],
        concurrency: int,
        on_episode: Callable[[Episode], None],
    ) -> None:
        """Play tasks; see `Workers.play`.

        Raises:
            ConfigError: what plays the tasks raises it.
            MissingExtraError: Ray is not installed.
            RunError: the cluster cannot be reached, no node has the GPUs that a worker needs, or too many workers were
                lost.
        """
        ray = _import_ray()
        started = not ray.is_initialized()
        if started:
            own = {"include_dashboard": False} if self.address == "local" else {}
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **own)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise RunError(f"cannot reach Ray at {self.address!r}: {error}") from None
        try:
            _Scheduler(ray, self, tasks, (make, concurrency), on_episode).run()
        finally:
            if started:
                ray.shutdown()


@dataclass(eq=False)
class _WorkerState:
    """What the scheduler knows of a worker."""

    actor: Any
    assigned: dict[str, WorkerTask] = field(default_factory=dict)
    """Tasks assigned to the worker, without those it has returned, by id."""
    ready: bool = False
    """Whether it has answered once. A worker that waits for resources on a node gets no tasks."""
    knows_queue_is_empty: bool = False
    """Whether it knows that no more tasks are queued."""


class _Scheduler:
    """Assigns tasks to workers, collects episodes, and replaces lost workers."""

    def __init__(
        self,
        ray: Any,
        config: RayWorkers,
        tasks: Sequence[WorkerTask],
        setup: tuple[Callable[[], TaskRunner], int],
        on_episode: Callable[[Episode], None],
    ) -> None:
        self.ray, self.config, self.setup, self.on_episode = ray, config, setup, on_episode
        self.capacity = setup[1] + setup[1] // 4 + 1
        """Maximum number of tasks assigned to a worker: those it plays, and some until the next exchange."""
        self.queue = deque(tasks)
        self.remaining = len(tasks)
        """Number of tasks without an episode."""
        self.lost = 0
        self.gpus = config.gpus
        """GPUs that each worker asks Ray for."""
        self.workers: list[_WorkerState] = []
        self.calls: dict[Any, tuple[_WorkerState, bool]] = {}
        """Pending remote calls: the worker, and whether the call is an exchange or the worker's `play`."""

    def run(self) -> None:
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        self.gpus, fitting = place(self.config, [float(node["Resources"].get("GPU", 0)) for node in nodes])
        try:
            for _ in range(min(self.config.workers or fitting, self.remaining)):
                self._start_worker()
            while self.remaining:
                time.sleep(POLL_SECONDS)
                self._collect()
        finally:
            for worker in self.workers:
                self.ray.kill(worker.actor)

    def _collect(self) -> None:
        done, _ = self.ray.wait(list(self.calls), num_returns=len(self.calls), timeout=0)
        for call in done:
            worker, is_exchange = self.calls.pop(call)
            if worker not in self.workers:  # another call has already reported the loss
                continue
            try:
                records = self.ray.get(call)
            except self.ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except self.ray.exceptions.RayError as error:  # the worker died or cannot be reached
                self._replace_worker(worker, error)
                continue
            worker.ready = True
            self._accept(worker, records or [])
            if is_exchange:
                self._exchange(worker)

    def _accept(self, worker: _WorkerState, records: Sequence[str]) -> None:
        for record in records:
            episode = Episode.model_validate_json(record)
            del worker.assigned[episode.id]
            self.remaining -= 1
            self.on_episode(episode)

    def _exchange(self, worker: _WorkerState) -> None:
        """Assign tasks up to the worker's capacity; the call returns the episodes that have ended."""
        new: list[WorkerTask] = []
        while worker.ready and self.queue and len(worker.assigned) < self.capacity:
            task = self.queue.popleft()
            worker.assigned[task.id] = task
            new.append(task)
        if new:
            worker.knows_queue_is_empty = False
        last = worker.ready and not self.queue and not worker.knows_queue_is_empty
        worker.knows_queue_is_empty |= last
        self.calls[worker.actor.exchange.remote(new, last)] = (worker, True)

    def _replace_worker(self, worker: _WorkerState, error: Exception) -> None:
        self.lost += 1
        self.workers.remove(worker)
        self.ray.kill(worker.actor)  # it may be alive but unreachable
        if self.lost > self.config.restarts:
            raise RunError(
                f"{self.lost} workers were lost, the last one with: {error}. The finished episodes are kept."
            )
        self.queue.extendleft(reversed(worker.assigned.values()))
        self._start_worker()

    def _start_worker(self) -> None:
        # After the loss of a node, the new worker waits for resources on another; the other workers go on meanwhile.
        options = {"num_cpus": self.config.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}
        actor = self.ray.remote(_Worker).options(max_concurrency=2, **options).remote(*self.setup)
        worker = _WorkerState(actor)
        self.workers.append(worker)
        self.calls[actor.play.remote()] = (worker, False)
        self._exchange(worker)


def place(config: RayWorkers, gpus: Sequence[float]) -> tuple[float, int]:
    """Decide how many GPUs each worker asks for, and how many workers there are by default.

    Args:
        config: of the workers.
        gpus: GPUs of each node.

    Raises:
        RunError: the cluster has GPUs, but no node has those that a worker needs.
    """
    if not config.replica_gpus or not any(gpus):
        return config.gpus, len(gpus)
    fitting = int(sum(count // config.replica_gpus for count in gpus))
    if not fitting:
        raise RunError(
            f"each worker needs {config.replica_gpus} GPUs of one node for its models on vLLM, and the largest node of "
            f"the cluster has {max(gpus):g}; lower tensor_parallel_size in [vllm], or add such a node"
        )
    return config.replica_gpus, fitting


class _Worker:
    """Plays tasks with its own models: `play` runs in one thread, `exchange` in another."""

    def __init__(self, make: Callable[[], TaskRunner], concurrency: int) -> None:
        self.make, self.concurrency = make, concurrency
        self.tasks: SimpleQueue[WorkerTask | None] = SimpleQueue()
        """Assigned tasks; None after the last."""
        self.ended: SimpleQueue[str] = SimpleQueue()
        """Episodes that have ended, as JSON."""

    def play(self) -> None:
        """Play until the actor is killed. An error ends it and reaches the scheduler."""
        run = self.make()
        while True:
            task = self.tasks.get()
            if task is not None:
                tasks = chain([task], self._next_tasks())
                run(tasks, self.concurrency, self._end_episode)

    def exchange(self, tasks: list[WorkerTask], last: bool) -> list[str]:
        """Take tasks, and return the episodes that have ended.

        Args:
            tasks: new tasks.
            last: whether no more tasks are queued.
        """
        for task in tasks:
            self.tasks.put(task)
        if last:
            self.tasks.put(None)
        return [self.ended.get() for _ in range(self.ended.qsize())]  # this is the only consumer

    def _next_tasks(self) -> Iterator[WorkerTask]:
        while (task := self.tasks.get()) is not None:
            yield task

    def _end_episode(self, episode: Episode) -> None:
        self.ended.put(episode.model_dump_json())


def _import_ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("playing on Ray", "ray")
    import ray

    return ray
