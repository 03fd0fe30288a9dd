"""The user asks for the same again, in the same or in other words."""

from __future__ import annotations

from collections.abc import Iterator

from telic.episodes import Feedback, Quotation
from telic.feedback.conversation import Conversation
from telic.feedback.similarity import is_rephrased

__all__ = ["Repeat"]


class Repeat:
    """The user repeats or rephrases the request that a reply answered."""

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report messages that ask again for what was asked before the reply."""
        for exchange in conversation.exchanges:
            for index in exchange.after:
                now = conversation.profiles[index]
                if any(is_rephrased(conversation.profiles[earlier], now) for earlier in exchange.before):
                    text = conversation.turns[index].text
                    same = any(_plain(conversation.turns[one].text) == _plain(text) for one in exchange.before)
                    yield Feedback(
                        source="repeat",
                        cue="repeats" if same else "rephrases",
                        turn=exchange.reply,
                        reward=-0.8,
                        confidence=0.8 if same else 0.7,
                        evidence=Quotation(turn=index, start=0, end=len(text), text=text),
                        time=conversation.time_of(index),
                    )


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .!?")
