"""The user stops a reply, or leaves a conversation that has come to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation, DialogueExchange
from telic.feedback.cues import cues_among
from telic.feedback.similarity import is_rephrased

__all__ = ["Abandonment"]


class Abandonment:
    """The user broke off a reply, did not answer its question, or left after asking for the same again in vain.

    A last reply without an answer says nothing by itself: satisfied users leave too. A conversation that may still go
    on is not abandoned (`Conversation.is_open`).
    """

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report replies that were broken off, and the last reply of an abandoned conversation."""
        for exchange in conversation.exchanges:
            if conversation.turns[exchange.reply].finish == "left":
                yield _feedback(conversation, exchange, "stops_reply", -0.6, 0.65)
        if conversation.is_open or not conversation.exchanges or conversation.exchanges[-1].after:
            return
        last = conversation.exchanges[-1]
        asks = conversation.turns[last.reply].text.rstrip().endswith("?")
        fails = any(cue.find(conversation, last.reply) for cue in cues_among("content", conversation.words[last.reply]))
        if (asks or fails) and _asked_again(conversation):
            yield _feedback(conversation, last, "gives_up", -0.8, 0.7)
        elif asks:
            yield _feedback(conversation, last, "leaves_question", -0.3, 0.55)


def _asked_again(conversation: Conversation) -> bool:
    """Return whether the last request asks for what the one before it had asked for."""
    if len(conversation.exchanges) < 2:
        return False
    earlier, last = conversation.exchanges[-2:]
    if earlier.before == last.before:
        return False
    profiles = conversation.profiles
    return any(is_rephrased(profiles[one], profiles[other]) for one in earlier.before for other in last.before)


def _feedback(
    conversation: Conversation, exchange: DialogueExchange, cue: str, reward: float, confidence: float
) -> Feedback:
    return Feedback(
        source="abandonment", cue=cue, turn=exchange.reply, reward=reward, confidence=confidence,
        time=conversation.time_of(exchange.reply),
    )  # fmt: skip
