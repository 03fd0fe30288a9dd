"""What a model has to be able to do: say how likely a given reply is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from telic.dialogue import Message
from telic.errors import ConfigError, UnsupportedControlError
from telic.models.base import Model
from telic.models.control import Control
from telic.models.request import Continuation, ScoredContinuation

__all__ = ["Scorer", "prompt", "require_scorer"]


class Scorer(Model, Protocol):
    """A model that also scores given replies, as `LocalModel` does."""

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        """Log-likelihood of given replies."""
        ...


def require_scorer(model: Model) -> Scorer:
    """Check that a model scores replies.

    Raises:
        UnsupportedControlError: it does not.
    """
    if not callable(getattr(model, "score", None)):
        raise UnsupportedControlError(
            f"capability cost needs the likelihood of given replies, which model {model.name!r} does not give; run "
            'the model locally, for example with telic.load("smollm2")'
        )
    return cast(Scorer, model)


def prompt(system: str | None, history: Sequence[Message], question: str) -> tuple[Message, ...]:
    """The dialogue in which a question is asked.

    Raises:
        ConfigError: the history is not one of whole exchanges.
    """
    if [message.role for message in history] != ["user", "assistant"] * (len(history) // 2):
        found = ", ".join(message.role for message in history)
        raise ConfigError(
            f"history is a dialogue of {found}; expected user, assistant, user, ..., assistant (the system prompt is "
            "given apart)"
        )
    head = () if system is None else (Message(role="system", content=system),)
    return (*head, *history, Message(role="user", content=question))
