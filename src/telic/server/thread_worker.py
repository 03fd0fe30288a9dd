"""A worker for models that stream in a thread, such as scripted ones: a few threads, each with one reply."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

from telic.models import Model, Reply, Request
from telic.models.capabilities import LimitsConcurrency
from telic.models.fair_queue import FairQueue
from telic.server.daemon_threads import DaemonThreads
from telic.server.submission import (
    OnEvent,
    ReplyDelta,
    ReplyEvent,
    Submission,
    deliver,
    failed_reply,
    interrupted_reply,
    missing_reply,
)

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["ThreadWorker"]

THREADS = 8
"""Concurrent requests to a model that does not state a limit."""


class ThreadWorker:
    """Threads in which a model streams one reply at a time. Make it in the event loop.

    Args:
        model: the model that replies.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loop = asyncio.get_running_loop()
        count = model.concurrency if isinstance(model, LimitsConcurrency) else THREADS
        self._threads = DaemonThreads(count, "telic-model")
        self._unanswered: set[Submission] = set()
        self._waiting: FairQueue[Submission] = FairQueue()
        self._lock = threading.Lock()
        """Held where these two are changed, and while events are handed to the event loop, so that none follows a
        reply."""

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:
        """Submit requests; a thread answers each as soon as one is free. Clients take turns."""
        submissions = [Submission(request, partial(on_event, index)) for index, request in enumerate(requests)]
        with self._lock:
            self._unanswered.update(submissions)
        for submission in submissions:
            with self._lock:
                self._waiting.append(submission.request.client, submission)
            self._threads.submit(self._answer_next)
        return submissions

    def cancel(self, submission: Submission) -> None:
        """Stop reading the reply after the next piece."""
        submission.cancelled = True
        with self._lock:
            self._unanswered.discard(submission)

    @property
    def alive(self) -> bool:
        """Always true: a model that fails loses one request only."""
        return True

    def close(self) -> None:
        """Interrupt all requests, and wait for the pieces that are being read."""
        with self._lock:
            deliver(self._loop, [(submission, interrupted_reply()) for submission in self._unanswered])
            self._unanswered.clear()
        self._threads.shutdown(cancel_futures=True)

    def _answer_next(self) -> None:
        with self._lock:
            submission = self._waiting.popleft()
        self._answer(submission)

    def _answer(self, submission: Submission) -> None:
        try:
            if submission in self._unanswered:
                self._stream(submission)
        except Exception as error:  # a third-party model may raise anything: this request fails, the server goes on
            self._deliver(submission, failed_reply(error))
        finally:
            self._deliver(submission, missing_reply())  # which changes nothing if it has its reply

    def _stream(self, submission: Submission) -> None:
        # Closing the generator is what stops the model when the reply is cancelled.
        with closing(cast("Generator[str | Reply]", self._model.stream(submission.request))) as pieces:
            for piece in pieces:
                if submission not in self._unanswered:
                    return
                self._deliver(submission, ReplyDelta(piece) if isinstance(piece, str) else piece)

    def _deliver(self, submission: Submission, event: ReplyEvent) -> None:
        with self._lock:
            if submission not in self._unanswered:
                return
            if isinstance(event, Reply):
                self._unanswered.remove(submission)
            deliver(self._loop, [(submission, event)])
