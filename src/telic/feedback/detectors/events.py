"""Events that other systems reported: a purchase, a ticket closed or reopened, code kept, tests passed."""

from __future__ import annotations

from collections.abc import Iterator

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.feedback.detectors.base import registry
from telic.feedback.given import GIVEN

__all__ = ["Events"]


class Events:
    """Every recorded event, once: an id that comes again is the same event."""

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report the events of the conversation and of its replies."""
        inferred = {*GIVEN, *registry.names()}
        seen: set[str] = set()
        replies = {exchange.reply for exchange in conversation.exchanges}
        for one in conversation.episode.feedback:
            if one.source in inferred or one.turn not in replies or (one.id and one.id in seen):
                continue
            seen.add(one.id)
            yield one
