"""What the defences know of each conversation, between its turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import chain

from telic.agents.defence import Defence
from telic.agents.defender import DefenceState
from telic.server.async_store import AsyncConversationStore

__all__ = ["DefenceStates"]

LIMIT = 100_000
"""Conversations whose state is held; beyond it, that of the least recently used one is dropped."""


class DefenceStates:
    """The states of conversations, least recently used first.

    One that is not held, as after a restart, is made anew from the store: a conversation that was ended stays ended,
    and one that was hardened stays hardened. What a monitor had summed up is lost.

    Args:
        store: the stored conversations.
        defences: those of the purpose.
    """

    def __init__(self, store: AsyncConversationStore, defences: Sequence[Defence]) -> None:
        self._store, self._defences = store, defences
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
        acted = await self._store.defence_actions(user, [one for one in (conversation, parent) if one is not None])
        hardened = [one.hardening() for one in self._defences if (one.name, "harden") in acted]
        ended = any(action == "end" for _, action in acted)
        return DefenceState(ended=ended, hardening=tuple(chain.from_iterable(hardened)))

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
