"""The user goes on to something else: weak evidence that the reply was enough."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.feedback.topics import opens_topic

__all__ = ["MovingOn"]

SLOW = 2.0
"""Times the user's usual time to answer, beyond which a new topic says nothing: the user was away."""


class MovingOn:
    """The user's next message opens another topic, not much later than this user usually answers.

    How fast somebody answers says nothing by itself: people differ, and a long reply takes longer to read. So the time
    is compared with the user's own, and counts only together with a change of topic.
    """

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report replies after which the user goes on to another topic."""
        for exchange, following in pairwise(conversation.exchanges):
            if not exchange.after or not opens_topic(conversation, [exchange], following):
                continue
            seconds, usual = conversation.seconds_to_answer(exchange), conversation.usual_seconds
            known = seconds is not None and usual is not None
            if known and seconds > SLOW * usual:  # type: ignore[operator]
                continue
            prompt = known and seconds <= usual  # type: ignore[operator]
            yield Feedback(
                source="moving_on",
                cue="soon" if prompt else "new_topic",
                turn=exchange.reply,
                reward=0.4,
                confidence=0.6 if prompt else 0.55,
                time=conversation.time_of(exchange.after[0]),
                value=seconds,
            )
