"""Feedback that users give on replies: thumbs, edits, and choices between two replies."""

from __future__ import annotations

from typing import Any

from telic.episodes import Feedback
from telic.feedback.similarity import edit_similarity

__all__ = ["EDIT", "GIVEN", "PREFERRED", "THUMB", "given_feedback"]

THUMB, EDIT, PREFERRED = "thumb", "edit", "preferred"
GIVEN = (THUMB, EDIT, PREFERRED)
"""Sources of feedback that a user gives on a reply."""
LIGHT = 0.8
"""Similarity from which an edit left the reply nearly as it was."""


def given_feedback(kind: str, value: Any, turn: int, text: str, time: float | None) -> Feedback:
    """Return what a user gave as feedback on a reply.

    Args:
        kind: `thumb`, `edit` or `preferred`.
        value: 1, -1 or 0 (withdrawn) of a thumb; the new text of an edit; of a choice, the reply that was not chosen.
        turn: index of the reply.
        text: the reply.
        time: seconds since 1970.
    """
    if kind == THUMB:
        cue, reward, confidence = {1: ("up", 1.0, 0.95), -1: ("down", -1.0, 0.95)}.get(value, ("withdrawn", 0.0, 0.0))
    elif kind == EDIT:
        # The more was changed, the worse the reply was; after a light edit, most of it was right.
        likeness = edit_similarity(text, str(value))
        light = likeness >= LIGHT
        cue, confidence = ("light", 0.6) if light else ("rewritten", 0.85)
        reward = likeness - LIGHT if light else likeness / LIGHT - 1
    else:
        cue, reward, confidence = "chosen", 0.8, 0.85
    return Feedback(source=kind, cue=cue, turn=turn, reward=reward, confidence=confidence, time=time, value=value)
