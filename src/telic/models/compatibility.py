"""Check requests against what a model supports. Anything else is an error before any work is done."""

from __future__ import annotations

from collections.abc import Iterable

from telic.dialogue import Message
from telic.errors import UnsupportedControlError
from telic.models.base import Model
from telic.models.capabilities import ConstrainsReplies, HasTemplate
from telic.models.control import ControlPoint
from telic.models.request import Request

__all__ = ["MESSAGES_ONLY", "contrast_prompts", "controlled_messages", "refuse_unsupported"]

MESSAGES_ONLY: frozenset[ControlPoint] = frozenset({"messages"})
"""The points of a model that only exchanges text."""


def refuse_unsupported(model: Model, requests: Iterable[Request]) -> None:
    """Check that a model can carry out all requests, before it starts on any.

    Raises:
        UnsupportedControlError: a control acts on a point, or a request asks for a reading or a response format, that
            the model lacks.
        ConfigError: a control was made for another model, or a response format is wrong.
    """
    for request in requests:
        for control in request.controls:
            if not control.points <= model.points:
                raise UnsupportedControlError(
                    f"control {control.name!r} acts on {_listing(control.points)}, but model {model.name!r} supports "
                    f"controls on {_listing(model.points)} only; drop the control, or run the model locally"
                )
            control.check(model)
        if request.reply_prefix and "logits" not in model.points:
            raise UnsupportedControlError(
                f"model {model.name!r} does not support a prefix of the reply; run it locally"
            )
        if request.response_format is not None:
            if not isinstance(model, ConstrainsReplies):
                raise UnsupportedControlError(
                    f"model {model.name!r} does not support a response format; run a model locally, "
                    "or behind an endpoint"
                )
            model.check_format(request.response_format)
        if request.speaker == "user" and not isinstance(model, HasTemplate):
            raise UnsupportedControlError(
                f"model {model.name!r} writes the assistant's messages only, because its chat template is hidden; "
                "run it locally, or ask for the assistant's message"
            )
        if not request.readings <= model.readings:
            raise UnsupportedControlError(
                f"model {model.name!r} does not support the reading {_listing(request.readings - model.readings)} (it "
                f"supports {_listing(model.readings)}); drop the reading, or run the model locally"
            )


def controlled_messages(request: Request) -> tuple[Message, ...]:
    """The messages that the model is given: the request's, as its controls change them in their order."""
    messages = request.messages
    for control in request.controls:
        messages = control.messages(messages)
    return messages


def contrast_prompts(request: Request) -> list[tuple[int, tuple[Message, ...]]]:
    """The contrast prompts of a request's controls: of each, the place of its control, and its messages.

    Controls listed before that one have changed the messages by then; those listed after it change all prompts.
    """
    messages = request.messages
    prompts: list[tuple[int, tuple[Message, ...]]] = []
    for place, control in enumerate(request.controls):
        prompts = [(index, control.messages(prompt)) for index, prompt in prompts]
        prompts += [(place, prompt) for prompt in control.contrast_prompts(messages)]
        messages = control.messages(messages)
    return prompts


def _listing(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
