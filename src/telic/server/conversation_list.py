"""The conversations of a user, as the dashboard lists them."""

from __future__ import annotations

from telic.server.records import ConversationSummary
from telic.server.service import Service
from telic.server.summaries import root_of

__all__ = ["list_conversations"]


async def list_conversations(service: Service, user: str, words: str = "") -> list[ConversationSummary]:
    """List a user's conversations, latest first; of the branches of one conversation, only the latest.

    Args:
        service: the service.
        user: whose conversations.
        words: list only conversations in which each of these words occurs.

    Raises:
        ApiError: the store failed.
    """
    summaries = await service.store.recent(user, words)
    parents = {one.conversation: one.parent for one in summaries}
    latest: dict[str, ConversationSummary] = {}
    for one in summaries:
        latest.setdefault(root_of(one.conversation, parents), one)
    return list(latest.values())
