"""What the reply itself shows: a failure that it admits, repetition, nothing said, or something specific.

This is no feedback of the user's. It helps to estimate how satisfied the user is, and never counts as a reward: a model
that learnt from it would learn to hide its failures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.episodes import Feedback, Quotation
from telic.feedback.conversation import LONGEST, Conversation
from telic.feedback.cues import cues_among
from telic.feedback.similarity import cosine

__all__ = ["Content"]

REPEATED = 0.9
"""Cosine of two replies' words from which one repeats the other."""
WINDOW = 4
"""Earlier replies that a reply is compared with."""
_SPECIFIC = re.compile(r'\d|"[^"\n]{2,80}"|[a-z,:] [A-Z][a-z]{2,}')
"""A number, a title in quotation marks, or a name."""


class Content:
    """What the text of a reply shows by itself."""

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report replies that admit a failure, repeat an earlier reply, say nothing, or name something specific."""
        replies = [exchange.reply for exchange in conversation.exchanges]
        for number, reply in enumerate(replies):
            text, profile = conversation.turns[reply].text[:LONGEST], conversation.profiles[reply]
            for cue in cues_among("content", conversation.words[reply]):
                if (failed := cue.feedback(conversation, reply, reply)) is not None:
                    yield failed
            earlier = replies[max(0, number - WINDOW) : number]
            if len(profile.counts) > 1 and any(
                cosine(conversation.profiles[one], profile) >= REPEATED for one in earlier
            ):
                yield _feedback(conversation, reply, "repeats_itself", -0.5, (0, len(text)))
            if not profile.counts:
                yield _feedback(conversation, reply, "says_little", -0.3, (0, len(text)))
            if named := _SPECIFIC.search(text):
                yield _feedback(conversation, reply, "specific", 0.3, named.span())


def _feedback(conversation: Conversation, reply: int, cue: str, reward: float, span: tuple[int, int]) -> Feedback:
    start, end = span
    return Feedback(
        source="content", cue=cue, turn=reply, reward=reward, confidence=0.65,
        evidence=Quotation(turn=reply, start=start, end=end, text=conversation.turns[reply].text[start:end]),
        time=conversation.time_of(reply),
    )  # fmt: skip
