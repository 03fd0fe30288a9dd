"""Scoring of given replies: which models can, and the dialogue in which a question is asked."""

from __future__ import annotations

from collections.abc import Sequence

from telic.dialogue import Message
from telic.errors import ConfigError, UnsupportedControlError
from telic.models.base import Model
from telic.models.capabilities import Scorer

__all__ = ["question_prompt", "require_scorer"]


def require_scorer(model: Model) -> Scorer:
    """Return the model if it scores given replies.

    Raises:
        UnsupportedControlError: it does not.
    """
    if isinstance(model, Scorer):
        return model
    raise UnsupportedControlError(
        f"capability cost needs the likelihood of given replies, which model {model.name!r} does not compute; run the "
        'model locally, for example with telic.load("smollm2")'
    )


def question_prompt(system: str | None, history: Sequence[Message], question: str) -> tuple[Message, ...]:
    """Build the dialogue in which a question is asked.

    Raises:
        ConfigError: the history does not consist of whole exchanges.
    """
    if [message.role for message in history] != ["user", "assistant"] * (len(history) // 2):
        found = ", ".join(message.role for message in history)
        raise ConfigError(
            f"history is a dialogue of {found}; expected user, assistant, user, ..., assistant (pass the system prompt "
            "as system)"
        )
    head = () if system is None else (Message(role="system", content=system),)
    return (*head, *history, Message(role="user", content=question))
