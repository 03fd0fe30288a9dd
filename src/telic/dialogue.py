"""Messages and dialogues: who said what, as plain immutable data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, overload

from pydantic import BaseModel, ConfigDict

__all__ = ["Dialogue", "Message", "Role"]

Role = Literal["system", "user", "assistant", "tool"]


class Message(BaseModel):
    """One message of a dialogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    """Who speaks, from the point of view of the model that reads the dialogue."""
    content: str
    """What is said."""
    name: str | None = None
    """The speaker's name, where a dialogue has several users or tools."""

    def as_dict(self) -> dict[str, str]:
        """Return the message in OpenAI's format."""
        return self.model_dump(exclude_none=True)


class Dialogue(Sequence[Message]):
    """An immutable sequence of messages; every method returns a new dialogue."""

    __slots__ = ("_messages",)

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages = tuple(messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Dialogue: ...
    def __getitem__(self, index: int | slice) -> Message | Dialogue:
        if isinstance(index, slice):
            return Dialogue(self._messages[index])
        return self._messages[index]

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialogue) and self._messages == other._messages

    def __hash__(self) -> int:
        return hash(self._messages)

    def __repr__(self) -> str:
        return f"Dialogue({list(self._messages)!r})"

    @property
    def system(self) -> str | None:
        """The system prompt: the content of the first message, if that is a system message."""
        if self._messages and self._messages[0].role == "system":
            return self._messages[0].content
        return None

    def add(self, role: Role, content: str) -> Dialogue:
        """Return the dialogue with one more message."""
        return Dialogue((*self._messages, Message(role=role, content=content)))

    def with_system(self, content: str | None) -> Dialogue:
        """Return the dialogue with another system prompt, or with none."""
        rest = self._messages[1:] if self.system is not None else self._messages
        head = () if content is None else (Message(role="system", content=content),)
        return Dialogue((*head, *rest))

    def turns(self) -> Dialogue:
        """Return the dialogue without its system prompt."""
        return self.with_system(None)
