"""The memory of one user on this machine, as an agent uses it: notes for a reply, and what was said afterwards."""

from __future__ import annotations

import time
from uuid import uuid4

from telic.memory.config import MemoryConfig
from telic.memory.control import MemoryControl
from telic.memory.events import MemoryEvent
from telic.memory.file import MemoryFile
from telic.memory.memory import Memory, new_event

__all__ = ["LocalMemory"]


class LocalMemory:
    """A memory in a file, kept up to date with it. Other processes may write to the file meanwhile.

    Args:
        file: the log.
        config: what is remembered.

    Raises:
        DataError: the file is damaged.
        RunError: the file cannot be read.
    """

    def __init__(self, file: MemoryFile, config: MemoryConfig | None = None) -> None:
        self.file, self.config = file, config or MemoryConfig()
        self._memory = Memory(self.config)
        self._version: tuple[int, ...] | None = None
        self._conversation = uuid4().hex
        self._turns = 0
        self._refresh()

    @property
    def memory(self) -> Memory:
        """What is remembered now.

        Raises:
            DataError: the file is damaged.
            RunError: the file cannot be read.
        """
        self._refresh()
        return self._memory

    def begin_conversation(self) -> None:
        """Begin a new conversation: from now on the old one may be quoted."""
        self._conversation, self._turns = uuid4().hex, 0

    def controls(self, message: str) -> tuple[MemoryControl, ...]:
        """Make the control with the notes for a reply to a message; none if there is nothing to say."""
        notes = self.memory.notes(message, source=self._conversation)
        return (MemoryControl(notes.text),) if notes.text else ()

    def observe(self, message: str, reply: str) -> int:
        """Log a message of the user and the reply, and obey what the message asks to forget.

        Returns:
            The number of messages that were removed.

        Raises:
            RunError: the file cannot be written.
        """
        said = self._event("user", message)
        events = [said, self._event("assistant", reply)] if reply else [said]
        memory = self.memory
        self.file.append(events)
        requests = memory.add(said)
        memory.extend(events)
        self._version = None  # another process may have written meanwhile
        return sum(self.forget(request.words, request.event) for request in requests)

    def forget(self, about: str, request: str | None = None) -> int:
        """Forget something, or everything if `about` is empty; returns the number of messages that were removed.

        Raises:
            RunError: the file cannot be written.
        """
        plan = self.memory.plan_forgetting(about, request)
        if not plan:
            return 0
        tombstone = new_event("forget", "", "here", events=list(plan.events))
        self.file.forget(plan, tombstone)
        self._version = None
        self._refresh()
        return len(plan.events) + len(plan.rewritten)

    def _refresh(self) -> None:
        """Read the file again if another process changed it."""
        version = self.file.version
        if version != self._version:
            self._memory, self._version = Memory(self.config, self.file.read()), version

    def _event(self, speaker: str, text: str) -> MemoryEvent:
        name = f"{self._conversation}:{self._turns}"
        self._turns += 1
        return MemoryEvent(name, time.time(), "message", self._conversation, speaker, text)  # type: ignore[arg-type]
