"""One request and its answer, from the first piece to the turn that is kept."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from telic.models import Reply, Request, Sampling, Session
from telic.server.history import History
from telic.server.problems import ApiError
from telic.server.store import Addition, Setup, TurnRecord
from telic.server.workers import Event, Ticket

if TYPE_CHECKING:
    from telic.server.service import Service

__all__ = ["Exchange", "Place"]

DIGITS = 6
"""Significant digits of readings that are kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer goes in the store."""

    conversation: str
    length: int
    """Turns that are there already."""
    new: bool
    parent: str | None = None
    """Of a new conversation: the one that it branches off from."""


class Exchange:
    """A request under way. Whoever has one must `close` it, whatever happens."""

    def __init__(
        self, service: Service, history: History, place: Place, session: Session, setup: Setup, sampling: Sampling
    ) -> None:
        self._service, self.history, self.place, self._session = service, history, place, session
        self._setup, self._sampling = setup, sampling
        self._inbox: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._first: tuple[int, Event] | None = None
        self._tickets: list[Ticket] = []
        self._text = ""
        """Of the first choice, so far."""
        self._replies: dict[int, Reply] = {}
        self._arrived = time.time()
        self._closed = self._failed = False

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self._tickets)

    @property
    def replies(self) -> list[Reply]:
        """The choices, once all of them are there."""
        return [self._replies[index] for index in range(self.count)]

    @property
    def tokens(self) -> int:
        """Tokens that were computed for it."""
        done = [reply.prompt_tokens - reply.cached_tokens + reply.new_tokens for reply in self._replies.values()]
        return sum(done) + sum(t.spent for index, t in enumerate(self._tickets) if index not in self._replies)

    def submit(self, request: Request) -> None:
        """Have one choice generated."""
        index = len(self._tickets)
        self._tickets.append(self._service.hand_in(request, lambda event: self._inbox.put_nowait((index, event))))

    async def first(self) -> None:
        """Wait for the first piece.

        Raises:
            ApiError: the request failed before there was one.
        """
        index, event = await self._inbox.get()
        if isinstance(event, Reply):
            self._check(event)
        self._first = index, event

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """The pieces of all choices as they come, and each choice's whole reply at its end.

        Raises:
            ApiError: the model failed.
        """
        while len(self._replies) < self.count:
            index, event = self._first or await self._inbox.get()
            self._first = None
            if isinstance(event, Reply):
                self._check(event)
                self._replies[index] = event
                self._service.metrics.count(event)
            elif index == 0:
                self._text += event.text
            yield index, event

    async def keep(self) -> None:
        """Write the turn down. Only then may the client hear that its reply is complete.

        Raises:
            ApiError: it could not be kept.
        """
        self._failed = True  # until it is kept: what could not be kept is not tried again on the way out
        reply, *others = self.replies
        answer = self._answer(reply.text, reply.finish, _fields(reply), [_alternative(other) for other in others])
        await self._service.keep(self._addition(answer))
        self._failed = False
        self._service.sessions.keep(self.place.conversation, self._session)
        self._release()

    def close(self) -> None:
        """Let go of what is still under way. A reply cut short is kept as far as it was told."""
        if self._closed:
            return
        for index, ticket in enumerate(self._tickets):
            if index not in self._replies:
                self._service.give_up(ticket)
        # The batch may yet bring the session to a place that the conversation never reaches.
        self._service.sessions.drop([self.place.conversation])
        if self._failed or not (self._text or self.place.length < len(self.history.said)):
            self._release()
            return
        self._service.metrics.left.inc()
        self._closed = True
        self._service.behind(self._keep_what_there_is())

    async def _keep_what_there_is(self) -> None:
        answer = self._answer(self._text, "left", {}, []) if self._text else None
        try:
            with suppress(ApiError):  # nobody was told that it was kept
                await self._service.keep(self._addition(answer))
        finally:
            self._release()

    def _release(self) -> None:
        self._closed = True
        self._service.under_way.discard(self)
        self._service.sessions.busy.discard(self.place.conversation)

    def _check(self, reply: Reply) -> None:
        """Refuse a reply that is none."""
        failure = reply.failure
        self._failed = failure is not None
        if failure is None:
            return
        if failure.kind == "context_full":
            raise ApiError(
                400,
                f"the conversation of {reply.prompt_tokens} tokens exceeds the context; shorten it",
                code="context_length_exceeded",
                param="messages",
            )
        client_error = failure.kind == "template_refusal"  # messages in an order that the model's template has not
        raise ApiError(400 if client_error else 502, f"the model failed to reply: {failure.detail}")

    def _addition(self, answer: TurnRecord | None) -> Addition:
        place, history, now = self.place, self.history, self._arrived
        given = [
            TurnRecord(message.role, message.content, digest, now)
            for message, digest in list(zip(history.said, history.digests, strict=True))[place.length :]
        ]
        turns = tuple([*given, answer] if answer else given)
        return Addition(
            place.conversation, history.user, turns, place.length, place.new, place.parent, history.system, self._setup
        )

    def _answer(
        self, text: str, finish: str, fields: Mapping[str, Any], alternatives: list[dict[str, Any]]
    ) -> TurnRecord:
        drawn = self._sampling
        seed = fields.get("seed", drawn.seed)
        sampling = {"temperature": drawn.temperature, "top_p": drawn.top_p, "top_k": drawn.top_k, "seed": seed}
        return TurnRecord(
            "assistant",
            text,
            self.history.after(text),
            time.time(),
            finish,
            setup=self._setup.digest,
            sampling=sampling,
            alternatives=alternatives,
            **{key: value for key, value in fields.items() if key != "seed"},
        )


def _fields(reply: Reply) -> dict[str, Any]:
    readings = {"state": reply.state, "attention": reply.attention}
    return {
        "tokens": reply.new_tokens,
        "prompt_tokens": reply.prompt_tokens,
        "cached_tokens": reply.cached_tokens,
        "logprob": _plain(sum(reply.logprobs)) if reply.logprobs else None,
        "planner": _plain(dict(reply.chosen)),
        "readings": {name: _plain(value) for name, value in readings.items() if value is not None},
        "seed": reply.seed,
    }


def _alternative(reply: Reply) -> dict[str, Any]:
    logprob = _plain(sum(reply.logprobs)) if reply.logprobs else None
    return {"text": reply.text, "finish": reply.finish, "tokens": reply.new_tokens, "logprob": logprob}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, what is no number as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # an array of numpy or torch, of any type
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)
