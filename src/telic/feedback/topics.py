"""Where a conversation changes its topic.

A user's message opens a new topic if it asks for something in words of its own, none of which was said shortly before.
Credit never crosses such a change. Words are a rough guide: a topic that goes on in other words may be taken for a new
one, which costs credit, and seldom the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from telic.feedback.conversation import Conversation, DialogueExchange
from telic.feedback.similarity import Profile, cosine

__all__ = ["opens_topic", "same_topic", "topic_numbers"]

MIN_WORDS = 3
"""Content words of a message that can open a topic: fewer may be an answer to a question."""
WINDOW = 3
"""Exchanges whose words still belong to the topic."""
SAME_TOPIC = 0.2
"""Cosine of two exchanges' words from which they are about the same. WildReward has 0.5 for sentence embeddings, whose
cosines are larger."""
_REQUEST = re.compile(
    r"\?|^\W*(?:also|next|now|another|please|show|tell|find|write|give|make|help|explain|book)\b"
    r"|\b(?:i(?: also| still)? (?:need|want)|(?:can|could|would) you|i'd like|i would like|looking for|help me)\b"
    r"|\b(?:by the way|one more|how (?:do|can|to)|what (?:is|are|about))\b"
)
"""Forms of a request."""


def topic_numbers(conversation: Conversation) -> tuple[int, ...]:
    """Return the number of each exchange's topic, counted from 0."""
    number, found = 0, []
    for index, exchange in enumerate(conversation.exchanges):
        if index and opens_topic(conversation, conversation.exchanges[max(0, index - WINDOW) : index], exchange):
            number += 1
        found.append(number)
    return tuple(found)


def opens_topic(conversation: Conversation, earlier: Sequence[DialogueExchange], exchange: DialogueExchange) -> bool:
    """Return whether the user asks in an exchange for something of which the earlier ones have not a word."""
    if exchange.before == earlier[-1].before:  # two replies to the same message
        return False
    words = {word for index in exchange.before for word in conversation.profiles[index].counts}
    if len(words) < MIN_WORDS or not any(_REQUEST.search(conversation.texts[index]) for index in exchange.before):
        return False
    said = {index for one in earlier for index in (*one.before, one.reply)}
    return all(words.isdisjoint(conversation.profiles[index].counts) for index in said)


def same_topic(conversation: Conversation, a: DialogueExchange, b: DialogueExchange) -> bool:
    """Return whether two exchanges are about the same, by the cosine of their words."""
    return cosine(_profile(conversation, a), _profile(conversation, b)) >= SAME_TOPIC


def _profile(conversation: Conversation, exchange: DialogueExchange) -> Profile:
    return Profile.sum(conversation.profiles[index] for index in (*exchange.before, exchange.reply))
