"""The part of a server that runs requests on the model."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from traceback import format_exception
from typing import TYPE_CHECKING, cast

from telic.models import Model, Reply, Request
from telic.models.capabilities import StreamsInEventLoop
from telic.models.fair_queue import BACKGROUND
from telic.server.async_worker import AsyncWorker
from telic.server.config import ServeConfig
from telic.server.daemon_threads import DaemonThreads
from telic.server.local_worker import LocalWorker
from telic.server.log import log_event
from telic.server.submission import OnEvent, ReplyEvent, Submission, Worker
from telic.server.thread_worker import ThreadWorker

if TYPE_CHECKING:
    from telic.models import LocalModel

__all__ = ["RequestRunner", "of_user"]


class RequestRunner:
    """Runs the requests of all conversations on one model.

    Args:
        model: the model that replies.
        config: limits on the memory of a local model.
    """

    def __init__(self, model: Model, config: ServeConfig) -> None:
        self.model = model
        self.local = _as_local(model)
        """The model, if it runs in this process."""
        self._worker: Worker = _StoppedWorker()
        if self.local is not None:
            cache_bytes = None if config.cache_megabytes is None else config.cache_megabytes << 20
            self.local.limit(max_batch=config.max_batch, context_length=config.max_context, cache_bytes=cache_bytes)

    def start(self) -> None:
        """Start the worker. Call it in the event loop."""
        if self.local is not None:
            self._worker = LocalWorker(self.local)
        elif isinstance(self.model, StreamsInEventLoop):
            self._worker = AsyncWorker(self.model)
        else:
            self._worker = ThreadWorker(self.model)

    async def close(self, seconds: float) -> None:
        """Answer all requests with a failure, and end the worker.

        Args:
            seconds: a model that does not respond in this time is abandoned.
        """
        worker, self._worker = self._worker, _StoppedWorker()
        thread = DaemonThreads(1, "telic-close")
        closed = asyncio.wrap_future(thread.submit(worker.close))
        await asyncio.wait([closed], timeout=seconds)
        if closed.done() and (error := closed.exception()) is not None:  # a third-party model may raise anything
            log_event(logging.ERROR, "close_failed", cause="".join(format_exception(error)))
        thread.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._worker.alive

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:
        """Submit requests that have the same prompts: the choices of one reply.

        Args:
            requests: the requests; they differ in their sampling.
            on_event: called in the event loop with the index of a request and each delta, then with the complete
                `Reply`.
        """
        return self._worker.submit(requests, on_event)

    def cancel(self, submission: Submission) -> None:
        """Stop a reply; no further events are delivered."""
        self._worker.cancel(submission)

    async def generate(
        self,
        requests: Sequence[Request],
        user: str = "",
        on_tokens: Callable[[int], None] | None = None,
        *,
        background: bool = False,
    ) -> list[Reply]:
        """Answer requests that belong to no conversation, beside the active ones.

        Args:
            requests: the requests.
            user: whose requests they are.
            on_tokens: called with the number of tokens that were computed for all of them.
            background: whether they wait until no other request does.
        """
        replies: list[asyncio.Future[Reply]] = [asyncio.get_running_loop().create_future() for _ in requests]

        def on_event(group: Sequence[asyncio.Future[Reply]], index: int, event: ReplyEvent) -> None:
            if isinstance(event, Reply) and not group[index].done():
                group[index].set_result(event)

        submissions: list[Submission] = []
        for _, same_prompts in groupby(zip(requests, replies, strict=True), lambda pair: _prompt_key(pair[0])):
            group = list(same_prompts)
            own = [of_user(request, user, background=background) for request, _ in group]
            submissions += self.submit(own, partial(on_event, [reply for _, reply in group]))
        try:
            answered = [await reply for reply in replies]
        finally:
            for submission, reply in zip(submissions, replies, strict=True):
                if not reply.done() or reply.cancelled():
                    self.cancel(submission)
        if on_tokens is not None:
            on_tokens(sum(reply.prompt_tokens - reply.cached_tokens + reply.new_tokens for reply in answered))
        return answered

    def token_text(self, token: int) -> str:
        """Decode a single token of a local model.

        Raises:
            ValueError: the model does not run in this process.
        """
        if self.local is None:
            raise ValueError(f"model {self.model.name!r} has no tokenizer in this process")
        return str(self.local.tokenizer.decode([token], clean_up_tokenization_spaces=False))


class _StoppedWorker:
    """The worker before `start` and after `close`."""

    alive = False

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:  # noqa: ARG002
        raise RuntimeError("the service is not running; await its start() first")

    def cancel(self, submission: Submission) -> None:
        submission.cancelled = True

    def close(self) -> None:
        pass


def of_user(request: Request, user: str, *, background: bool = False) -> Request:
    """Mark a request as a user's: keys take turns, and users share nothing of their prompts."""
    return replace(request, client=BACKGROUND if background else user.partition("/")[0], cache_salt=user)


def _prompt_key(request: Request) -> tuple[object, ...]:
    tools = request.tools, request.tool_choice
    return request.messages, request.speaker, request.response_format, tools, tuple(map(id, request.controls))


def _as_local(model: Model) -> LocalModel | None:
    # If the module was never imported, the model is no local one, and torch need not be imported to find out.
    module = sys.modules.get("telic.models.local")
    return cast("LocalModel", model) if module is not None and isinstance(model, module.LocalModel) else None
