"""Thumbs, edits, and choices between replies: what the user gave as feedback."""

from __future__ import annotations

from collections.abc import Iterator

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.feedback.given import EDIT, PREFERRED, THUMB

__all__ = ["Given", "choices", "edits", "thumbs"]


class Given:
    """Feedback of one source. The last one on a reply counts, and one that was withdrawn does not.

    Args:
        source: `thumb`, `edit` or `preferred`.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def detect(self, conversation: Conversation) -> Iterator[Feedback]:
        """Report the feedback of each reply that has some."""
        latest = {one.turn: one for one in conversation.episode.feedback if one.source == self._source}
        yield from (one for one in latest.values() if one.reward)


def thumbs() -> Given:
    """Thumbs up and down."""
    return Given(THUMB)


def edits() -> Given:
    """Replies that the user replaced by a text of their own: the more was changed, the worse the reply was."""
    return Given(EDIT)


def choices() -> Given:
    """Replies that the user chose over another one."""
    return Given(PREFERRED)
