"""The tools of each conversation, between its turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from telic.agents.tool_turns import ToolTurns

__all__ = ["Toolboxes"]


class Toolboxes:
    """The toolboxes of conversations, least recently used first.

    What a tool stores for a conversation lasts while its toolbox is held: it is made anew after a restart, and on a
    branch.

    Args:
        turns: carry out the calls of the purpose.
        limit: conversations whose toolbox is held.
    """

    def __init__(self, turns: ToolTurns, limit: int) -> None:
        self._turns, self._limit = turns, limit
        self._held: OrderedDict[str, ToolTurns] = OrderedDict()
        self.names = frozenset(turns.toolbox.tools)

    def of(self, conversation: str) -> ToolTurns:
        """Return what carries out the calls of a conversation."""
        if conversation not in self._held:
            self._held[conversation] = replace(self._turns, toolbox=self._turns.toolbox.begin())
        self._held.move_to_end(conversation)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)
        return self._held[conversation]

    def drop(self, conversations: Iterable[str]) -> None:
        """Drop the toolboxes of conversations."""
        for conversation in conversations:
            self._held.pop(conversation, None)
