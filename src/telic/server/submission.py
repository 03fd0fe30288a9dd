"""Requests that a worker answers, and the events of their replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from telic.errors import Failure, ModelError
from telic.models import Reply, Request

__all__ = [
    "OnEvent",
    "ReplyDelta",
    "ReplyEvent",
    "Submission",
    "Worker",
    "deliver",
    "failed_reply",
    "interrupted_reply",
    "missing_reply",
]


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """New text of a reply."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Log-probabilities of these tokens, if the request asks for them."""


ReplyEvent: TypeAlias = ReplyDelta | Reply
"""Deltas while the reply grows, then the complete `Reply`."""

OnEvent: TypeAlias = Callable[[int, ReplyEvent], None]
"""Called in the event loop with the index of a request and each event of its reply."""


@dataclass(slots=True, eq=False)
class Submission:
    """A request that was submitted to a worker."""

    request: Request
    on_event: Callable[[ReplyEvent], None]
    """Called in the event loop with each event."""
    cancelled: bool = False
    prompt_tokens: int = 0
    """Length of the prompt without its cached tokens, once the engine has laid it out; 0 if the worker does not
    know."""
    new_tokens: int = 0
    """Tokens of the deltas so far, if the worker knows."""

    @property
    def computed_tokens(self) -> int:
        """Tokens to charge for: the uncached prompt and the new tokens, as far as the worker knows."""
        return self.prompt_tokens + self.new_tokens


class Worker(Protocol):
    """Answers requests as they arrive."""

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:
        """Submit requests that have the same prompts, such as the choices of one reply; from the event loop."""
        ...

    def cancel(self, submission: Submission) -> None:
        """Stop a reply; no further events are delivered."""
        ...

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        ...

    def close(self) -> None:
        """Answer all requests with a failure, and end the threads."""
        ...


def failed_reply(error: Exception) -> Reply:
    """Make the reply to a request on which the model raised an exception."""
    if isinstance(error, ModelError):
        return Reply("", "error", failure=error.failure)
    return Reply("", "error", failure=Failure("model", "exception", str(error) or repr(error)))


def interrupted_reply() -> Reply:
    """Make the reply to a request that is unanswered when the server stops."""
    return failed_reply(ModelError("the server is stopping", "interrupted"))


def missing_reply() -> Reply:
    """Make the reply to a request whose stream ended without one."""
    return failed_reply(ModelError("the model's stream ended without a reply", "malformed_reply"))


def deliver(loop: asyncio.AbstractEventLoop, events: Sequence[tuple[Submission, ReplyEvent]]) -> None:
    """Deliver events in the event loop, which wakes up once for all of them."""

    def call() -> None:
        for submission, event in events:
            if not submission.cancelled:
                submission.on_event(event)

    if events:
        with suppress(RuntimeError):  # the loop has ended, and with it the receivers
            loop.call_soon_threadsafe(call)
