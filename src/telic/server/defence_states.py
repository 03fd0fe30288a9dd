"""What the defences know of each conversation, between its turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from telic.agents.defender import DefenceState
from telic.server.async_store import AsyncConversationStore

__all__ = ["DefenceStates"]

LIMIT = 100_000
"""Conversations whose state is held; beyond it, that of the least recently used one is dropped."""


class DefenceStates:
    """The states of conversations, least recently used first.

    One that is not held, as after a restart, is made anew, except that a conversation that was ended stays ended: the
    store knows.

    Args:
        store: the stored conversations.
    """

    def __init__(self, store: AsyncConversationStore) -> None:
        self._store = store
        self._states: OrderedDict[str, DefenceState] = OrderedDict()

    async def open(self, user: str, conversation: str, parent: str | None = None) -> DefenceState:
        """Return a copy of a conversation's state; that of a branch begins as its parent's.

        Raises:
            ApiError: the store failed.
        """
        for known in (conversation, parent):
            if known is not None and known in self._states:
                self._states.move_to_end(known)
                return self._states[known].fork()
        ended = await self._store.was_ended(user, [one for one in (conversation, parent) if one is not None])
        return DefenceState(ended=ended)

    def keep(self, conversation: str, state: DefenceState) -> None:
        """Hold a state for the next turn of its conversation."""
        self._states[conversation] = state
        self._states.move_to_end(conversation)
        while len(self._states) > LIMIT:
            self._states.popitem(last=False)

    def drop(self, conversations: Iterable[str]) -> None:
        """Drop the states of conversations."""
        for conversation in conversations:
            self._states.pop(conversation, None)
