"""Code that needs replies of models but calls none: a generator yields its requests and is sent the replies.

Whoever drives the generator decides when a request is answered. So the same code runs in a batch of many dialogues
(`telic.rollouts.driver`), in one chat (`run_alone`), and in a server.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from telic.models.base import Model
from telic.models.request import Reply, Request

__all__ = ["ModelRequest", "RequestGenerator", "ask", "observed", "run_alone", "run_together", "watched"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ModelRequest:
    """A request, and the model that answers it."""

    model: Model
    request: Request


RequestGenerator = Generator[Sequence[ModelRequest], tuple[ModelRequest, Reply], T]
"""Yields the requests that can be made now, perhaps none while others wait for their replies. Each `yield` gives one
reply, with the request that it answers, in the order in which the replies come. It returns once all are answered."""


def ask(model: Model, request: Request) -> RequestGenerator[Reply]:
    """Make one request and return its reply, for generators that wait for each reply before they go on.

    In a generator: `reply = yield from ask(model, request)`.
    """
    _, reply = yield [ModelRequest(model, request)]
    return reply


def observed(generator: RequestGenerator[T], on_reply: Callable[[Reply], None]) -> RequestGenerator[T]:
    """Run a generator as a part of another one, and call `on_reply` with each of its replies."""
    return (yield from watched(generator, lambda _, reply: on_reply(reply)))


def watched(generator: RequestGenerator[T], on_answer: Callable[[ModelRequest, Reply], None]) -> RequestGenerator[T]:
    """Run a generator as a part of another one, and call `on_answer` with each of its requests and the reply."""
    try:
        requests = next(generator)
        while True:
            answered = yield requests
            on_answer(*answered)
            requests = generator.send(answered)
    except StopIteration as end:
        value: T = end.value
        return value


def run_together(generators: Iterable[RequestGenerator[T]]) -> RequestGenerator[list[T]]:
    """Run several generators side by side and return their values, in their order."""
    running = list(generators)
    values: dict[int, T] = {}
    owners: dict[ModelRequest, int] = {}

    def advance(index: int, answered: tuple[ModelRequest, Reply] | None) -> list[ModelRequest]:
        try:
            made = list(next(running[index]) if answered is None else running[index].send(answered))
        except StopIteration as end:
            values[index] = end.value
            return []
        owners.update(dict.fromkeys(made, index))
        return made

    unsent = [request for index in range(len(running)) for request in advance(index, None)]
    while len(values) < len(running):
        request, reply = yield unsent
        unsent = advance(owners.pop(request), (request, reply))
    return [values[index] for index in range(len(running))]


def run_alone(generator: RequestGenerator[T]) -> T:
    """Run one generator to its end. Requests of one model that it makes at once are a batch.

    Raises:
        UnsupportedControlError: a model does not support a control or a reading.
    """
    try:
        unsent = list(next(generator))
        while unsent:
            model = unsent[0].model
            batch = [request for request in unsent if request.model is model]
            unsent = [request for request in unsent if request.model is not model]
            replies = model.generate([request.request for request in batch])
            for answered in zip(batch, replies, strict=True):
                unsent += generator.send(answered)
    except StopIteration as end:
        value: T = end.value
        return value
    raise RuntimeError("the generator waits for a reply, but all of its requests are answered")
