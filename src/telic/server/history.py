"""The messages that a client sent, with the digests by which the store recognises their conversation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from telic.dialogue import Message
from telic.purpose import Purpose

__all__ = ["History", "storable", "system_message"]


@dataclass(frozen=True, slots=True)
class History:
    """A conversation as its client sent it."""

    user: str
    system: str
    """The client's own system messages at the beginning."""
    messages: tuple[Message, ...]
    """All messages after those."""
    digests: tuple[str, ...]
    """For each message: digest of the user, the system message, and all messages up to and including this one."""

    @classmethod
    def from_messages(cls, user: str, messages: Sequence[Message]) -> History:
        """Split a client's messages into system messages and the rest, and compute the digests."""
        start = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
        system = "\n\n".join(message.content for message in messages[:start])
        digest, digests = _digest("", user, system), []
        for message in messages[start:]:
            digest = _digest(digest, *_parts(message))
            digests.append(digest)
        return cls(user, system, tuple(messages[start:]), tuple(digests))

    def digest_with(self, reply: Message) -> str:
        """Compute the digest of this history followed by a reply."""
        return _digest(self.digests[-1] if self.digests else _digest("", self.user, self.system), *_parts(reply))


def system_message(purpose: Purpose, client_system: str) -> Message:
    """Join the purpose's system prompt and the client's own, which comes second."""
    return Message(role="system", content="\n\n".join(filter(None, (purpose.system_prompt, client_system))))


def storable(text: str) -> str:
    """Replace what a store cannot hold: Postgres refuses NUL characters."""
    return text.replace("\0", "\ufffd")


def _parts(message: Message) -> list[str]:
    """Return what a message is recognised by."""
    calls = [part for call in message.tool_calls for part in (call.id, call.name, call.arguments)]
    result = [] if message.tool_call_id is None else [message.tool_call_id]
    return [message.role, message.content, *calls, *result]


def _digest(before: str, *parts: str) -> str:
    """Extend a digest by further parts.

    White space around a part does not count, because some clients trim replies. A text has the same digest before and
    after it was stored.
    """
    chained = hashlib.sha256(before.encode())
    for part in parts:
        data = storable(part).strip().encode("utf-8", "surrogatepass")
        chained.update(len(data).to_bytes(8, "big") + data)
    return chained.hexdigest()
