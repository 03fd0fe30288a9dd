"""The interface of detectors: each reads a conversation and reports evidence of how good single replies were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.registry import Registry

__all__ = ["Detector", "default_detectors", "registry"]


@runtime_checkable
class Detector(Protocol):
    """Finds one kind of evidence in a conversation."""

    def detect(self, conversation: Conversation) -> Iterable[Feedback]:
        """Report evidence about replies, each with the words or the action that it rests on.

        It raises nothing, whatever users wrote, and changes nothing.
        """
        ...


registry: Registry[Callable[[], Detector]] = Registry("detector")
"""Detector factories by name. A plug-in adds one with the entry point `detector:NAME`."""
registry.declare(
    praise="telic.feedback.detectors.phrases:praise",
    acceptance="telic.feedback.detectors.phrases:acceptance",
    rejection="telic.feedback.detectors.phrases:rejection",
    complaint="telic.feedback.detectors.phrases:complaint",
    correction="telic.feedback.detectors.phrases:correction",
    clarification="telic.feedback.detectors.phrases:clarification",
    repeat="telic.feedback.detectors.repeat:Repeat",
    abandonment="telic.feedback.detectors.abandonment:Abandonment",
    moving_on="telic.feedback.detectors.moving_on:MovingOn",
    sentiment="telic.feedback.detectors.sentiment:SentimentWords",
    content="telic.feedback.detectors.content:Content",
    thumbs="telic.feedback.detectors.given:thumbs",
    edits="telic.feedback.detectors.given:edits",
    choices="telic.feedback.detectors.given:choices",
    events="telic.feedback.detectors.events:Events",
)


def default_detectors() -> list[Detector]:
    """Make every detector, those of plug-ins included."""
    return [registry.get(name)() for name in registry.names()]
