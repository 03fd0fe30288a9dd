"""All evidence in a conversation: what every detector reports."""

from __future__ import annotations

from collections.abc import Sequence

from telic.episodes import Feedback
from telic.feedback.conversation import Conversation
from telic.feedback.detectors import Detector

__all__ = ["evidence_by_reply"]


def evidence_by_reply(conversation: Conversation, detectors: Sequence[Detector]) -> dict[int, list[Feedback]]:
    """Run detectors on a conversation.

    Returns:
        The evidence about each reply, by the index of its turn. Each cue of a source is there once per reply.
    """
    found: dict[int, dict[tuple[str, str, str], Feedback]] = {e.reply: {} for e in conversation.exchanges}
    for detector in detectors:
        for one in detector.detect(conversation):
            if one.turn in found:
                found[one.turn].setdefault((one.source, one.cue, one.id), one)
    return {reply: list(evidence.values()) for reply, evidence in found.items()}
