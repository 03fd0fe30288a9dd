"""What users say about a reply: thanks and praise, acceptance, rejection, complaint, correction, clarification."""

from __future__ import annotations

from collections.abc import Iterator

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.feedback.cues import cues_among, cues_of

__all__ = ["Phrases", "acceptance", "clarification", "complaint", "correction", "praise", "rejection"]

TASTES = frozenset(("liking", "dislikes"))
"""Cues that are no evidence in the answer to a question about the user's tastes."""


class Phrases:
    """Finds the cues of one source in what the user said to each reply.

    Args:
        source: a table of `data/cues.toml`.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._has_tastes = any(cue.name in TASTES for cue in cues_of(source))

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report the first phrase of each cue in each message."""
        words = conversation.words
        for exchange in conversation.exchanges:
            for index in exchange.after:
                cues = cues_among(self._source, words[index])
                asked = bool(cues) and self._has_tastes and conversation.asks_taste(exchange.reply)
                for cue in cues:
                    if asked and cue.name in TASTES:
                        continue
                    if (found := cue.feedback(conversation, exchange.reply, index)) is not None:
                        yield found


def praise() -> Phrases:
    """The user thanks, praises the reply, or shows pleasure."""
    return Phrases("praise")


def acceptance() -> Phrases:
    """The user takes up an offer, agrees, or asks for more about it."""
    return Phrases("acceptance")


def rejection() -> Phrases:
    """The user declines, dislikes what was offered, or asks for something else."""
    return Phrases("rejection")


def complaint() -> Phrases:
    """The user complains, or asks for a person instead."""
    return Phrases("complaint")


def correction() -> Phrases:
    """The user says that the reply is wrong, and perhaps what would be right."""
    return Phrases("correction")


def clarification() -> Phrases:
    """The user asks what the reply means: weak evidence that it was not clear."""
    return Phrases("clarification")
