"""Optional capabilities of a model: protocols for `isinstance`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from telic.dialogue import Message
from telic.models.base import Model
from telic.models.control import Control
from telic.models.request import Continuation, ScoredContinuation
from telic.rendering import Rendering, Template

__all__ = ["HasHiddenStates", "HasTemplate", "LimitsConcurrency", "Scorer"]


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

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> Rendering:
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
class LimitsConcurrency(Protocol):
    """It answers a limited number of requests at once."""

    @property
    def concurrency(self) -> int:
        """Requests in flight at once."""
        ...
