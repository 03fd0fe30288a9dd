"""The sessions of conversations between turns. They only save time: replies are the same without them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from telic.models import Model, Session

__all__ = ["Sessions"]


class Sessions:
    """The sessions of conversations, least recently used first, and the set of conversations that are busy.

    The model limits the memory of the sessions' caches; this class limits the number of sessions.

    Args:
        model: the model that replies.
        limit: number of sessions; beyond it, the least recently used one is dropped.
        busy: the set of busy conversations, if it is shared with other sessions.
    """

    def __init__(self, model: Model, limit: int, busy: set[str] | None = None) -> None:
        self._model, self._limit = model, limit
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self.busy: set[str] = set() if busy is None else busy
        """Conversations with an active reply."""
        self.shared_prefix: Session | None = None
        """A session that has read the purpose's system prompt and no user's messages. New conversations fork it."""

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, conversation: str, parent: str | None = None) -> Session:
        """Return the session of a conversation, or make one from its parent's or from the shared prefix."""
        if conversation in self._sessions:
            self._sessions.move_to_end(conversation)
            return self._sessions[conversation]
        source = self._sessions.get(parent) if parent is not None and parent not in self.busy else None
        # The state of a control covers a whole conversation; on a branch, the control has to read it again.
        if source is None or source.cache.control_state:
            source = self.shared_prefix
        if source is None:
            return Session(self._model)
        session = source.fork()
        session.cache.control_state = {}
        return session

    def fork_for_reading(self, conversation: str | None, *, latest: bool) -> Session:
        """Make a session for readings or probes, which does not affect the conversation.

        Args:
            conversation: the conversation to fork.
            latest: whether it is used at the conversation's latest turn. At an earlier turn, the state of controls
                would be that of a later one.
        """
        own = self._sessions.get(conversation) if conversation is not None and conversation not in self.busy else None
        source = self.shared_prefix if own is None or (own.cache.control_state and not latest) else own
        session = Session(self._model) if source is None else source.fork()
        if source is not own:  # the state of controls in the shared prefix belongs to no conversation
            session.cache.control_state = {}
        return session

    def keep(self, conversation: str, session: Session) -> None:
        """Hold a session for the next turn of its conversation."""
        self._sessions[conversation] = session
        self._sessions.move_to_end(conversation)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def drop(self, conversations: Iterable[str]) -> None:
        """Drop the sessions of conversations."""
        for conversation in conversations:
            self._sessions.pop(conversation, None)
