"""Optional capabilities of a model: protocols for `isinstance`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable

from telic.dialogue import Message, ToolDefinition
from telic.models.base import Model
from telic.models.control import Control
from telic.models.request import Continuation, Reply, Request, ScoredContinuation
from telic.models.response_format import ResponseFormat
from telic.rendering import Rendering, Template

__all__ = [
    "ConstrainsReplies",
    "HasHiddenStates",
    "HasTemplate",
    "LimitsBatch",
    "LimitsConcurrency",
    "ReplyStreams",
    "Scorer",
    "StreamsInEventLoop",
]


@runtime_checkable
class HasHiddenStates(Protocol):
    """Its residual stream can be read and changed."""

    @property
    def name(self) -> str:
        """What reports call the model."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        ...

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        ...


@runtime_checkable
class HasTemplate(Protocol):
    """Its chat template is known."""

    @property
    def template(self) -> Template:
        """Renders dialogues."""
        ...

    def render(
        self, messages: Sequence[Message], *, reply: bool = True, tools: Sequence[ToolDefinition] = ()
    ) -> Rendering:
        """Render a dialogue as the model sees it."""
        ...


@runtime_checkable
class Scorer(Model, Protocol):
    """It also scores given replies."""

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        """Compute the log-likelihood of given replies."""
        ...


@runtime_checkable
class ConstrainsReplies(Protocol):
    """Its replies can be given a form."""

    def check_format(self, response_format: ResponseFormat) -> None:
        """Refuse a form that it cannot keep to.

        Raises:
            ConfigError: the format is wrong; the message says where.
            UnsupportedControlError: the model does not support this kind of format.
        """
        ...


@runtime_checkable
class LimitsBatch(Protocol):
    """It computes a limited number of sequences together."""

    max_batch: int
    """Sequences computed together, at most."""


@runtime_checkable
class LimitsConcurrency(Protocol):
    """It answers a limited number of requests at once."""

    @property
    def concurrency(self) -> int:
        """Requests in flight at once."""
        ...


class ReplyStreams(Protocol):
    """Replies of a model that are streamed in one event loop."""

    def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Yield the reply's text piece by piece, then the whole `Reply`; cancelling the task ends it at once."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@runtime_checkable
class StreamsInEventLoop(LimitsConcurrency, Protocol):
    """It also streams in an event loop, without a thread for each reply."""

    def open_streams(self) -> ReplyStreams:
        """Open its connections in the running event loop."""
        ...
