"""What the store receives of an exchange."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from telic.agents.defender import DefenceRecord
from telic.dialogue import Message
from telic.files import to_json_types
from telic.models import Reply, Sampling
from telic.server.history import History
from telic.server.records import FINISH_LEFT, NewTurns, ReplySetup, ToolRecord, TurnRecord

__all__ = ["StoreTarget", "TurnBuilder"]

DIGITS = 6
"""Significant digits of readings in the store."""


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """Where the turns of an exchange go in the store."""

    conversation: str
    stored_turns: int
    """Number of turns that are stored already."""
    new: bool
    """Whether the exchange begins the conversation."""
    parent: str | None = None
    """Of a new conversation: the one that it branches off from."""


@dataclass(frozen=True, slots=True)
class TurnBuilder:
    """Builds the turns of an exchange."""

    history: History
    target: StoreTarget
    setup: ReplySetup
    sampling: Sampling
    remembering: str = ""
    """The purpose in whose memory of the user the turns are logged; empty for none."""
    response_format: str = ""
    """The kind of the reply's form; empty for plain text."""
    arrival: float = field(default_factory=time.time)
    """When the request arrived, in seconds since 1970."""

    @property
    def has_unstored_messages(self) -> bool:
        """Whether the client sent messages that are not stored."""
        return self.target.stored_turns < len(self.history.messages)

    def with_replies(
        self, replies: Sequence[Reply], defences: Sequence[DefenceRecord] = (), steps: Sequence[Message] = ()
    ) -> NewTurns:
        """Build the new messages and the reply: the first choice, with the others as alternatives.

        Args:
            replies: all choices.
            defences: what the defences did before the first one.
            steps: calls of the purpose's own tools before it, and their results.
        """
        reply, *others = replies
        return self._new_turns(
            self._reply_turn(
                reply.message,
                reply.finish,
                tools=ToolRecord(calls=reply.tool_calls, steps=tuple(steps)),
                seed=reply.seed,
                alternatives=[_alternative(other) for other in others],
                defences=[to_json_types(asdict(record), DIGITS) for record in defences],
                **_measurements(reply),
            )
        )

    def with_partial_text(self, text: str) -> NewTurns:
        """Build the new messages, and the part of the reply that was generated before it was interrupted."""
        said = Message(role="assistant", content=text)
        return self._new_turns(self._reply_turn(said, FINISH_LEFT, seed=self.sampling.seed) if text else None)

    def _new_turns(self, reply: TurnRecord | None) -> NewTurns:
        target, history = self.target, self.history
        pairs = list(zip(history.messages, history.digests, strict=True))[target.stored_turns :]
        given = [
            TurnRecord(
                message.role,
                message.content,
                digest,
                self.arrival,
                tools=ToolRecord(calls=message.tool_calls, call_id=message.tool_call_id),
            )
            for message, digest in pairs
        ]
        return NewTurns(
            target.conversation,
            history.user,
            tuple([*given, reply] if reply else given),
            target.stored_turns,
            target.new,
            target.parent,
            history.system,
            self.setup,
            self.remembering,
        )

    def _reply_turn(self, said: Message, finish: str, *, seed: int | None, **fields: Any) -> TurnRecord:
        used = self.sampling
        return TurnRecord(
            "assistant",
            said.content,
            self.history.digest_with(said),
            time.time(),
            finish,
            setup=self.setup.digest,
            sampling={
                "temperature": used.temperature,
                "top_p": used.top_p,
                "top_k": used.top_k,
                "min_p": used.min_p,
                "seed": seed,
                **({"response_format": self.response_format} if self.response_format else {}),
            },
            **fields,
        )


def _measurements(reply: Reply) -> dict[str, Any]:
    readings = {"state": reply.state, "attention": reply.attention}
    return {
        "tokens": reply.new_tokens,
        "prompt_tokens": reply.prompt_tokens,
        "cached_tokens": reply.cached_tokens,
        "logprob": _logprob(reply),
        "planner_choice": to_json_types(dict(reply.chosen), DIGITS),
        "readings": {name: to_json_types(value, DIGITS) for name, value in readings.items() if value is not None},
    }


def _alternative(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "finish": reply.finish, "tokens": reply.new_tokens, "logprob": _logprob(reply)}


def _logprob(reply: Reply) -> Any:
    return to_json_types(sum(reply.logprobs), DIGITS) if reply.logprobs else None
