"""A worker for models that stream in an event loop: a task for each reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from telic.models import Reply, Request
from telic.models.capabilities import StreamsInEventLoop
from telic.server.submission import ReplyDelta, ReplyEvent, Submission, failed_reply

__all__ = ["AsyncWorker"]


class AsyncWorker:
    """Streams replies in the event loop that it was made in.

    A reply that is cancelled closes its connection at once, also if the endpoint is silent.

    Args:
        model: the model that replies.
    """

    def __init__(self, model: StreamsInEventLoop) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams = model.open_streams()
        self._slots = asyncio.Semaphore(model.concurrency)
        self._tasks: dict[Submission, asyncio.Task[None]] = {}

    def submit(self, request: Request, on_event: Callable[[ReplyEvent], None]) -> Submission:
        """Submit a request; it is sent once the model has a free connection."""
        submission = Submission(request, on_event)
        task = self._tasks[submission] = self._loop.create_task(self._answer(submission))
        task.add_done_callback(lambda _: self._tasks.pop(submission, None))
        return submission

    def cancel(self, submission: Submission) -> None:
        """Stop a reply, and close its connection."""
        submission.cancelled = True
        if (task := self._tasks.get(submission)) is not None:
            task.cancel()

    @property
    def alive(self) -> bool:
        """Always true: a model that fails loses one request only."""
        return True

    def close(self) -> None:
        """Cancel all replies and close all connections. Call it in another thread than the event loop's."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    async def _close(self) -> None:
        for submission in list(self._tasks):
            self.cancel(submission)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._streams.aclose()

    async def _answer(self, submission: Submission) -> None:
        try:
            async with self._slots, aclosing(self._streams.stream(submission.request)) as pieces:
                async for piece in pieces:
                    self._deliver(submission, ReplyDelta(piece) if isinstance(piece, str) else piece)
        except Exception as error:  # a third-party model may raise anything: this request fails, the server goes on
            self._deliver(submission, failed_reply(error))

    def _deliver(self, submission: Submission, event: ReplyDelta | Reply) -> None:
        if not submission.cancelled:
            submission.on_event(event)
