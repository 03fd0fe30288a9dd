"""Messages and dialogues: who said what, and which tools were called, as plain immutable data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, overload

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Dialogue", "Message", "Role", "ToolCall", "ToolDefinition"]

Role = Literal["system", "user", "assistant", "tool"]
MAX_DEPTH = 100
"""Levels of the arguments of a call; those who read them, such as chat templates, go down with recursion."""


class ToolDefinition(BaseModel):
    """What a model is told of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """OpenAI's form of a name: letters, digits, `_` and `-`, at most 64."""
    description: str = ""
    """What it does, and when to use it."""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON schema of its arguments, which are one object."""

    def as_dict(self) -> dict[str, Any]:
        """Return the definition in OpenAI's format, which chat templates take too."""
        return {"type": "function", "function": self.model_dump()}


class ToolCall(BaseModel):
    """A call of a tool, as a model made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Names the call in the message with its result."""
    name: str
    """The tool. A model may name one that does not exist."""
    arguments: str = "{}"
    """The arguments in JSON, as the model wrote them. They may be malformed: see `parsed`."""

    @model_validator(mode="before")
    @classmethod
    def _read_openai(cls, given: Any) -> Any:
        """Take OpenAI's format too, which `as_dict` writes."""
        function = given.get("function") if isinstance(given, dict) else None
        return {"id": given.get("id"), **function} if isinstance(function, dict) else given

    def parsed(self) -> dict[str, Any]:
        """Return the arguments as an object.

        Raises:
            ValueError: they are not JSON, not an object, nested too deeply, or hold half of a surrogate pair.
        """
        try:
            value = json.loads(self.arguments or "{}")
            if _is_deeper(value, MAX_DEPTH):
                raise RecursionError
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError:
            raise ValueError(f"the arguments are nested too deeply; expected at most {MAX_DEPTH} levels") from None
        except UnicodeEncodeError:
            raise ValueError("the arguments hold half of a surrogate pair, such as \\ud83d without \\ude00") from None
        except ValueError as error:
            raise ValueError(f"the arguments are not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"the arguments are {self.arguments[:80]}; expected a JSON object")
        return value

    def as_dict(self) -> dict[str, Any]:
        """Return the call in OpenAI's format."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class Message(BaseModel):
    """One message of a dialogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    """Who speaks, from the point of view of the model that reads the dialogue. `tool`: the result of a call."""
    content: str
    """What is said; of a tool, its result. Empty in a message that only calls tools."""
    name: str | None = None
    """The speaker's name, where a dialogue has several users or tools."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The tools that the assistant calls after it has said the content."""
    tool_call_id: str | None = None
    """Of a result: the call that it belongs to."""

    def as_dict(self) -> dict[str, Any]:
        """Return the message in OpenAI's format."""
        row = self.model_dump(exclude_none=True, exclude={"tool_calls"})
        return {**row, "tool_calls": [call.as_dict() for call in self.tool_calls]} if self.tool_calls else row


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
        return self.append(Message(role=role, content=content))

    def append(self, *messages: Message) -> Dialogue:
        """Return the dialogue with further messages."""
        return Dialogue((*self._messages, *messages))

    def with_system(self, content: str | None) -> Dialogue:
        """Return the dialogue with another system prompt, or with none."""
        rest = self._messages[1:] if self.system is not None else self._messages
        head = () if content is None else (Message(role="system", content=content),)
        return Dialogue((*head, *rest))

    def turns(self) -> Dialogue:
        """Return the dialogue without its system prompt."""
        return self.with_system(None)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON types are nested in more than so many levels."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
