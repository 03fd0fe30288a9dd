"""System-prompt repetition: the baseline SPR of arXiv 2402.10962."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlPoint

__all__ = ["Reminder"]


@dataclass(frozen=True)
class Reminder(Control):
    """Repeats the system prompt before the user's messages.

    The repetitions stay in the dialogue that the model sees, so no token is read twice.
    """

    every: int = 1
    """The system prompt precedes every n-th user message; 0 for none."""
    probability: float = 1.0
    """Probability of a repetition where it is due. The draw is a function of the message, so it never changes later."""
    text: str = "(Your instructions, once more: {system})"
    """Wording; `{system}` stands for the system prompt."""

    name: ClassVar[str] = "reminder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def __post_init__(self) -> None:
        if self.every < 0 or not 0 <= self.probability <= 1:
            raise ConfigError(
                f"control 'reminder': every = {self.every!r}, probability = {self.probability!r}; "
                "expected every of 0 or more, and a probability between 0 and 1"
            )
        if "{system}" not in self.text:
            raise ConfigError(f"control 'reminder': text is {self.text!r}; expected it to contain {{system}}")

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Put the system prompt before the user messages that are due."""
        if not self.every or not messages or messages[0].role != "system":
            return messages
        reminder = self.text.replace("{system}", messages[0].content)
        changed, users = [], 0
        for message in messages:
            users += message.role == "user"
            if message.role == "user" and users % self.every == 0 and self._is_drawn(users, message.content):
                message = Message(role="user", content=f"{reminder}\n\n{message.content}")
            changed.append(message)
        return tuple(changed)

    def _is_drawn(self, number: int, content: str) -> bool:
        digest = hashlib.sha256(f"{number}/{content}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48 < self.probability
