"""The log of a chat, and the reply that is being generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui.element import Element

from telic.server.conversation import DashboardConversation
from telic.server.dashboard.elements import box, set_visible, text
from telic.server.dashboard.turn_view import TurnActions, TurnView

__all__ = ["ChatLog", "PendingReply"]


class ChatLog:
    """All turns of a conversation.

    Args:
        name: name of the assistant.
        actions: what the buttons of a turn do.
    """

    def __init__(self, name: str, actions: TurnActions) -> None:
        self._name, self._actions = name, actions
        self._turns: dict[int, TurnView] = {}
        self._root = box("div", "log", role="log", aria_live="off", aria_label="Conversation", tabindex="0")
        with self._root:
            self._empty = box("div", "empty")
            with self._empty:
                text("Send a message to begin.", "p")
                text("Every reply is stored, with the readings taken of the model.", "p", "hint")

    def show(self, conversation: DashboardConversation, selected: int | None) -> None:
        """Show the turns of a conversation. Turns that are shown already stay in place.

        Args:
            conversation: the conversation.
            selected: position of the selected reply.
        """
        turns = conversation.turns
        for position in [at for at, view in self._turns.items() if at >= len(turns) or not view.shows(turns[at])]:
            self._turns.pop(position).root.delete()
        number = 0
        for turn in turns:
            number += turn.role == "assistant"
            if turn.position not in self._turns:
                with self._root:
                    view = TurnView(turn, self._name, number, self._actions, conversation.pins_of(turn))
                view.root.move(target_index=turn.position + 1)
                self._turns[turn.position] = view
            self._turns[turn.position].update(turn, selected == turn.position, bool(conversation.pins))
        set_visible(self._empty, not turns)

    def add_pending(self, words: str, position: int) -> PendingReply:
        """Show a message that was just sent, and an empty reply. Turns from this position on are removed."""
        for later in [one for one in self._turns if one >= position]:
            self._turns.pop(later).root.delete()
        set_visible(self._empty, False)
        with self._root:
            return PendingReply(words, self._name)

    def add_below(self, position: int) -> Element:
        """Make an element right below a turn."""
        with self._root:
            element = box("div", "below")
        element.move(target_index=position + 2)
        return element

    def hide(self, position: int | None) -> None:
        """Hide one turn, whose text a comparison shows; None: show all."""
        for own, view in self._turns.items():
            set_visible(view.root, own != position)

    def highlight(self, places: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Mark words in the chat, by the position of the turn: from which character to which. All others lose marks."""
        for position, view in self._turns.items():
            view.highlight(places.get(position, ()))

    def lock(self, on: bool) -> None:
        """Disable the buttons that start a reply, or enable them again."""
        for view in self._turns.values():
            view.lock(on)


class PendingReply:
    """A message that was just sent, and the reply that is being generated.

    Args:
        words: the user's message.
        name: name of the assistant.
    """

    def __init__(self, words: str, name: str) -> None:
        self._user_turn = box("article", "turn user")
        with self._user_turn:
            text("You", "h3")
            text(words, "p", "words")
        self._reply = box("article", "turn bot pending")
        with self._reply:
            text(name, "h3")
            self._text = text("", "p", "words")

    def append(self, piece: str) -> None:
        """Append to the reply."""
        self._text.text += piece

    def remove(self) -> None:
        """Remove both: the log shows the stored turns instead."""
        self._user_turn.delete()
        self._reply.delete()
