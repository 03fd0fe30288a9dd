"""The conversations of a user, as the dashboard lists them."""

from __future__ import annotations

from telic.server.records import ConversationSummary
from telic.server.service import Service

__all__ = ["list_conversations"]


async def list_conversations(service: Service, user: str) -> list[ConversationSummary]:
    """List a user's conversations, latest first; of the branches of one conversation, only the latest.

    Raises:
        ApiError: the store failed.
    """
    summaries = await service.store.recent(user)
    parents = {one.conversation: one.parent for one in summaries}

    def root(name: str) -> str:
        seen = {name}
        while (parent := parents.get(name)) is not None and parent in parents and parent not in seen:
            seen.add(parent)
            name = parent
        return name

    latest: dict[str, ConversationSummary] = {}
    for one in summaries:
        latest.setdefault(root(one.conversation), one)
    return list(latest.values())
