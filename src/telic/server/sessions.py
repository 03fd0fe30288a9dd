"""What conversations keep in memory between turns. All of it may go at any time: answers are the same without."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from telic.models import Model, Session

__all__ = ["Sessions"]


class Sessions:
    """The sessions of conversations, and which conversations are being answered.

    The caches that the sessions hold have their own limit in the model; this one is on the number of sessions.

    Args:
        model: what answers.
        limit: sessions kept; the least recently used goes first.
    """

    def __init__(self, model: Model, limit: int) -> None:
        self._model, self._limit = model, limit
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self.busy: set[str] = set()
        """Conversations with a reply under way."""
        self.beginning: Session | None = None
        """What every conversation begins with: a session that has read the purpose's system prompt, nobody's words."""

    def __len__(self) -> int:
        return len(self._kept)

    def open(self, conversation: str, parent: str | None = None) -> Session:
        """The session of a conversation; a new one takes over what it shares with its parent."""
        if conversation in self._kept:
            self._kept.move_to_end(conversation)
            return self._kept[conversation]
        source = self._kept.get(parent) if parent is not None and parent not in self.busy else None
        # What controls remember is of the whole of a conversation; on a branch they read it again.
        if source is None or source.cache.control_state:
            source = self.beginning
        if source is None:
            return Session(self._model)
        session = source.fork()
        session.cache.control_state = {}
        return session

    def look(self, conversation: str | None, *, now: bool) -> Session:
        """A session to look aside with, of which the conversation never hears.

        Args:
            conversation: whose.
            now: look at where the conversation stands; else at an earlier place, of which controls remember nothing.
        """
        own = self._kept.get(conversation) if conversation is not None and conversation not in self.busy else None
        source = self.beginning if own is None or (own.cache.control_state and not now) else own
        session = Session(self._model) if source is None else source.fork()
        if source is not own:  # what controls remember of the beginning is of a dialogue that nobody held
            session.cache.control_state = {}
        return session

    def keep(self, conversation: str, session: Session) -> None:
        """Keep a session for the next turn."""
        self._kept[conversation] = session
        self._kept.move_to_end(conversation)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def drop(self, conversations: Iterable[str]) -> None:
        """Forget conversations."""
        for conversation in conversations:
            self._kept.pop(conversation, None)
