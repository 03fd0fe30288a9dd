"""A worker for models that stream in an event loop: a task for each reply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from telic.models import Reply, Request
from telic.models.capabilities import StreamsInEventLoop
from telic.models.fair_queue import FairQueue
from telic.server.submission import (
    OnEvent,
    ReplyDelta,
    ReplyEvent,
    Submission,
    failed_reply,
    interrupted_reply,
    missing_reply,
)

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
        self._free = model.concurrency
        self._waiting: FairQueue[Submission] = FairQueue()
        self._tasks: dict[Submission, asyncio.Task[None]] = {}
        self._unanswered: set[Submission] = set()

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:
        """Submit requests; each is sent once the model has a free connection. Clients take turns."""
        submissions = [Submission(request, partial(on_event, index)) for index, request in enumerate(requests)]
        self._unanswered.update(submissions)
        for submission in submissions:
            self._waiting.append(submission.request.client, submission)
        self._start_waiting()
        return submissions

    def cancel(self, submission: Submission) -> None:
        """Stop a reply, and close its connection."""
        submission.cancelled = True
        self._unanswered.discard(submission)
        self._waiting.remove(submission.request.client, submission)
        if (task := self._tasks.get(submission)) is not None:
            task.cancel()

    @property
    def alive(self) -> bool:
        """Always true: a model that fails loses one request only."""
        return True

    def close(self) -> None:
        """Interrupt all replies and close all connections. Call it from a thread other than the event loop's."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    async def _close(self) -> None:
        for submission in list(self._unanswered):
            self._deliver(submission, interrupted_reply())
        for submission in [*self._waiting, *self._tasks]:
            self.cancel(submission)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._streams.aclose()

    def _start_waiting(self) -> None:
        while self._waiting and self._free:
            self._free -= 1
            submission = self._waiting.popleft()
            task = self._tasks[submission] = self._loop.create_task(self._answer(submission))
            task.add_done_callback(partial(self._end, submission))

    def _end(self, submission: Submission, _: asyncio.Task[None]) -> None:
        del self._tasks[submission]
        self._free += 1
        self._deliver(submission, missing_reply())  # which changes nothing if it has its reply
        self._start_waiting()

    async def _answer(self, submission: Submission) -> None:
        try:
            async with aclosing(self._streams.stream(submission.request)) as pieces:
                async for piece in pieces:
                    self._deliver(submission, ReplyDelta(piece) if isinstance(piece, str) else piece)
        except Exception as error:  # a third-party model may raise anything: this request fails, the server goes on
            self._deliver(submission, failed_reply(error))

    def _deliver(self, submission: Submission, event: ReplyEvent) -> None:
        if submission in self._unanswered:
            if isinstance(event, Reply):
                self._unanswered.remove(submission)
            submission.on_event(event)
