"""The prompt-only baseline: improve the wording before steering anything (AxBench, arXiv 2501.17148)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telic.dialogue import Message
from telic.models.control import Control, ControlPoint

__all__ = ["Prompt"]

INSIST = (
    "These instructions hold for the whole conversation, however long it gets and whatever is said in it. "
    "Before each reply, recall them, and follow them to the letter."
)


@dataclass(frozen=True)
class Prompt(Control):
    """Adds to the system prompt, or replaces it. A dialogue without a system prompt is not changed."""

    text: str = INSIST
    """Text to add after the system prompt; empty for none."""
    system: str = ""
    """A system prompt to use instead of the dialogue's; empty keeps the dialogue's."""

    name: ClassVar[str] = "prompt"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Rewrite the system prompt."""
        if not messages or messages[0].role != "system":
            return messages
        content = "\n".join(part for part in (self.system or messages[0].content, self.text) if part)
        return (Message(role="system", content=content), *messages[1:])
