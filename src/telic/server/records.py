"""What the conversation store takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from telic.dialogue import Message, ToolCall
from telic.episodes import Branch, Feedback

__all__ = [
    "FINISH_LEFT",
    "ConversationSummary",
    "HistoryMatch",
    "NewTurns",
    "ReplySetup",
    "StoredConversation",
    "StoredTurn",
    "ToolRecord",
    "TurnRecord",
]

FINISH_LEFT = "left"
"""The `finish` of a reply that was interrupted."""


@dataclass(frozen=True, slots=True)
class ReplySetup:
    """The purpose, its system prompt, the model and the controls of a reply, named by a digest of all of them."""

    digest: str
    content: Mapping[str, Any]


class ToolRecord(BaseModel):
    """What a turn has to do with tools."""

    model_config = ConfigDict(frozen=True)

    calls: tuple[ToolCall, ...] = ()
    """Of a reply: calls that the client carries out."""
    call_id: str | None = None
    """Of a client's result: the call."""
    steps: tuple[Message, ...] = ()
    """Of a reply: calls of the purpose's own tools before it, and their results."""

    def as_json(self) -> dict[str, Any] | None:
        """Return it as a value for the store; None if there is nothing to store."""
        return self.model_dump(exclude_defaults=True) or None

    def message(self, role: Any, text: str) -> Message:
        """Return the message of the turn."""
        return Message(role=role, content=text, tool_calls=self.calls, tool_call_id=self.call_id)


NO_TOOLS = ToolRecord()


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn to be stored."""

    role: str
    text: str
    digest: str
    """Digest of the user and of all messages up to and including this turn."""
    time: float
    """Seconds since 1970."""
    finish: str = "given"
    """Why it ended. `given`: the client sent it; `left`: the client disconnected or stopped it, or the server was
    closed; `edited`: the user wrote it."""
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    setup: str | None = None
    """Digest of the setup."""
    logprob: float | None = None
    """Log-probability of the whole reply, in nats."""
    planner_choice: Mapping[str, Any] = field(default_factory=dict)
    """The planner's choice, with its log-probability."""
    readings: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Mapping[str, Any]] = ()
    """The other choices of a request with `n` > 1; a client may continue with one of them on a branch."""
    defences: Sequence[Mapping[str, Any]] = ()
    """What the defences did before the reply (`telic.agents.defender.DefenceRecord`)."""
    tools: ToolRecord = NO_TOOLS
    """Calls of tools, and their results."""


@dataclass(frozen=True, slots=True)
class NewTurns:
    """Turns to be appended to a conversation, or to begin one with."""

    conversation: str
    user: str
    turns: tuple[TurnRecord, ...]
    start: int = 0
    """Number of turns before them."""
    new: bool = True
    """Whether they begin a conversation."""
    parent: str | None = None
    """Of a new conversation: the one that it branches off from, whose first `start` turns it shares."""
    system: str = ""
    """The client's own system message."""
    setup: ReplySetup | None = None
    remembering: str = ""
    """The purpose in whose memory of the user the turns are logged; empty for none."""


@dataclass(frozen=True, slots=True)
class HistoryMatch:
    """A conversation whose first `length` turns equal the history that a client sent."""

    conversation: str
    length: int
    is_whole: bool
    """Whether it has no further turns."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn read from the store, with its annotations."""

    position: int
    role: str
    text: str
    finish: str
    time: float
    """Seconds since 1970."""
    planner_choice: Mapping[str, Any]
    readings: Mapping[str, Any]
    setup: Mapping[str, Any]
    """Purpose, model and controls of a reply; empty for a turn that the model did not generate."""
    defences: Sequence[Mapping[str, Any]] = ()
    """What the defences did before the reply."""
    feedback: Sequence[Feedback] = ()
    probe_branches: Sequence[Branch] = ()
    """Probes that were asked after it."""
    tools: ToolRecord = NO_TOOLS
    """Calls of tools, and their results."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the turn as the model receives them: what it did with its own tools, then the turn."""
        return (*self.tools.steps, self.tools.message(self.role, self.text))


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation read from the store."""

    system: str
    """The client's own system message."""
    turns: list[StoredTurn]


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation in a list."""

    conversation: str
    user: str
    parent: str | None
    created: float
    """Seconds since 1970."""
    updated: float
    length: int
    """Number of turns."""
    opening: str
    """The beginning of its first turn."""
    closing: str
    """The beginning of its last turn."""
    feedback: Mapping[str, int] = field(default_factory=dict)
    """Number of turns with feedback: `good`, `bad`, `edit`, `preferred`."""
