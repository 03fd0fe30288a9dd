"""The control `memory`: puts the notes on a user before the user's last message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from telic.dialogue import Message
from telic.models.control import Control, ControlPoint

__all__ = ["MemoryControl"]


@dataclass(frozen=True)
class MemoryControl(Control):
    """Puts notes before the last message of the user, with the user's authority and no more.

    `telic serve` and `telic chat` make one for each reply where the purpose has a table `[memory]`. The notes are part
    neither of what is stored of a reply, nor of the dialogue.
    """

    notes: str = field(default="", repr=False)
    """The notes (`telic.memory.notes.write_notes`); empty: the control does nothing."""

    name: ClassVar[str] = "memory"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def spec(self) -> dict[str, Any]:
        """Its name only: setups are kept and shared, and notes are one user's."""
        return {"name": self.name}

    @property
    def key(self) -> str:
        """Empty: it acts through the tokens of the prompt alone, so what was read before them can be used again."""
        return ""

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Put the notes before the last message of the user."""
        last = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
        if not self.notes or last is None:
            return messages
        content = f"{self.notes}\n\n{messages[last].content}"
        return (*messages[:last], messages[last].model_copy(update={"content": content}), *messages[last + 1 :])
