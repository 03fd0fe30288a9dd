"""What a model can take: everything else is refused up front, never silently dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from telic.errors import UnsupportedControlError

if TYPE_CHECKING:
    from telic.dialogue import Message
    from telic.models.base import Model, Request
    from telic.models.control import Point

__all__ = ["MESSAGES_ONLY", "refuse_unsupported", "say", "say_companions"]

MESSAGES_ONLY: frozenset[Point] = frozenset({"messages"})
"""The points of a model of which only the text is within reach."""


def refuse_unsupported(model: Model, requests: Iterable[Request]) -> None:
    """Check that a model can carry out all requests, before it starts on any.

    Raises:
        UnsupportedControlError: a control acts on a point, or a request asks for a reading, that the model lacks.
        ConfigError: a control was made for another model.
    """
    for request in requests:
        for control in request.controls:
            if not control.points <= model.points:
                raise UnsupportedControlError(
                    f"control {control.name!r} acts on {_listing(control.points)}, but model {model.name!r} takes "
                    f"controls on {_listing(model.points)} only; drop the control, or run the model locally"
                )
            control.check(model)
        if request.prefix and "logits" not in model.points:
            raise UnsupportedControlError(f"model {model.name!r} cannot be told how its reply starts; run it locally")
        if not request.readings <= model.readings:
            raise UnsupportedControlError(
                f"reading {_listing(request.readings - model.readings)} was asked of model {model.name!r}, which gives "
                f"{_listing(model.readings)}; drop the reading, or run the model locally"
            )


def say(request: Request) -> tuple[Message, ...]:
    """What is said to the model: the request's messages as its controls, in their order, change them."""
    messages = request.messages
    for control in request.controls:
        messages = control.messages(messages)
    return messages


def say_companions(request: Request) -> list[tuple[int, tuple[Message, ...]]]:
    """What each further stream is told, and which of the request's controls wants it, as its place among them.

    Controls listed before that one have changed the messages by then; those listed after it change all streams'.
    """
    messages = request.messages
    streams: list[tuple[int, tuple[Message, ...]]] = []
    for place, control in enumerate(request.controls):
        streams = [(owner, control.messages(told)) for owner, told in streams]
        streams += [(place, told) for told in control.companions(messages)]
        messages = control.messages(messages)
    return streams


def _listing(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
