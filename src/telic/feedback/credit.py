"""Credit: which replies earned the evidence that is found later in a conversation.

- What the user says at turn t+1 is about reply t. That is the reply's reward.
- Earlier replies of the same topic share in it through the return to go, a discounted sum: a decaying trace. An event
  that ends a conversation (a purchase) is the last term of that sum.
- Nothing crosses a change of topic.
- A reply without evidence takes the label of a later praised one, discounted, if that is at most two replies later, is
  of the same topic, and shares words with it (WildReward). Blame is not inherited: the user had no complaint yet.
- Nothing is earned by length, nor by the number of turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telic.feedback.conversation import Conversation
from telic.feedback.topics import same_topic, topic_numbers

__all__ = ["Credit", "assign_credit"]

DISCOUNT = 0.8
"""How much of a later reward an earlier reply shares, per reply between them."""
REACH = 2
"""Replies over which a later praise is inherited."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a reply earned."""

    reward: float
    """From the evidence about the reply itself, in [-1, 1]; 0 without any."""
    return_to_go: float
    """This reward and the discounted later ones of the same topic."""
    label: float | None
    """The reward, or the one that it inherits; None if nothing is known of the reply."""


def assign_credit(
    conversation: Conversation, rewards: Sequence[float | None], discount: float = DISCOUNT
) -> list[Credit]:
    """Assign credit to the replies of a conversation.

    Args:
        conversation: the conversation.
        rewards: of each exchange, the reward of its reply; None without evidence.
        discount: how much of a later reward an earlier reply shares.
    """
    topics = topic_numbers(conversation)
    returns = [reward or 0.0 for reward in rewards]
    for index in range(len(returns) - 2, -1, -1):
        if topics[index] == topics[index + 1]:
            returns[index] += discount * returns[index + 1]
    labels = [_label(conversation, rewards, topics, index, discount) for index in range(len(rewards))]
    return [
        Credit(reward or 0.0, return_, label) for reward, return_, label in zip(rewards, returns, labels, strict=True)
    ]


def _label(
    conversation: Conversation,
    rewards: Sequence[float | None],
    topics: Sequence[int],
    index: int,
    discount: float,
) -> float | None:
    own = rewards[index]
    if own is not None:
        return own
    exchanges = conversation.exchanges
    for later in range(index + 1, min(index + REACH + 1, len(rewards))):
        if topics[later] != topics[index]:
            return None
        reward = rewards[later]
        if reward is None:
            continue
        if reward > 0 and same_topic(conversation, exchanges[index], exchanges[later]):
            return discount ** (later - index) * reward
        return None
    return None
