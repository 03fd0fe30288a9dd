"""Refusals that a limit demands: the user may be displeased with them, and the reply was still right."""

from __future__ import annotations

import re
from collections.abc import Sequence

from telic.feedback.conversation import LONGEST, Conversation, DialogueExchange
from telic.judges import Judge

__all__ = ["is_demanded_refusal"]

_REFUSES = re.compile(
    r"\b(?:can't|cannot|can not|won't|will not|unable to|not able to|not allowed to|may not|must not|don't|do not|"
    r"couldn't|shouldn't)\b|\bi'm afraid\b|\b(?:sorry|unfortunately)\b|\bagainst (?:our|my|the) (?:rules|policy)\b|"
    r"\brefuse\b|\bnot something i\b"
)


def is_demanded_refusal(conversation: Conversation, exchange: DialogueExchange, limits: Sequence[Judge]) -> bool:
    """Return whether a reply refuses what a limit forbids.

    That is so if the reply refuses, and a limit's judge applies to what the user asked for or insisted on: it scores
    the user's message 0.5 or more, with the reply as the question.

    Args:
        conversation: the conversation.
        exchange: the reply with the user's messages around it.
        limits: a judge for each limit. That of the limit itself often serves (a message that names a price, where the
            limit is about prices); else give one that recognises such requests.
    """
    if not limits or not _REFUSES.search(conversation.texts[exchange.reply]):
        return False
    reply = conversation.turns[exchange.reply].text[:LONGEST]
    asked = [conversation.turns[index].text[:LONGEST] for index in (*exchange.before, *exchange.after)]
    scores = [judge.judge(text, reply).value for judge in limits for text in asked]
    return any(score is not None and score >= 0.5 for score in scores)
