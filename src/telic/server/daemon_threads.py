"""A pool of threads that cannot keep a process from ending."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["DaemonThreads"]

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """Threads that carry out what is submitted to them.

    Python waits at its end for the threads of `ThreadPoolExecutor`, for as long as the server at the other end of a
    connection keeps them waiting. It does not wait for these.

    Args:
        count: number of threads.
        name: prefix of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread call a function.

        Raises:
            RuntimeError: the pool is shut down.
        """
        if self._closed:
            raise RuntimeError("the threads have ended")
        future: Future[T] = Future()
        self._work.put((future, partial(work, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the queued work is done or, with `cancel_futures`, cancelled."""
        self._closed = True
        if cancel_futures:
            self._cancel_waiting()
        for _ in self._threads:
            self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def close(self, seconds: float) -> None:
        """End the threads, and wait for them no longer than this."""
        end = time.monotonic() + seconds
        self.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _cancel_waiting(self) -> None:
        while True:
            try:
                item = self._work.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                item[0].cancel()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # the caller gets it
                future.set_exception(error)
            del item, future, work  # an idle thread keeps nothing alive
