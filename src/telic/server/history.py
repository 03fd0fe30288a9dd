"""What a client has sent of its conversation, and how that is told apart from all others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from telic.dialogue import Message

__all__ = ["History", "storable"]


@dataclass(frozen=True, slots=True)
class History:
    """A conversation as its client sent it."""

    user: str
    system: str
    """The client's own system messages at the beginning."""
    said: tuple[Message, ...]
    """All that follows."""
    digests: tuple[str, ...]
    """Of each beginning of it: of the user, the system message, and all that was said up to and with this message."""

    @classmethod
    def of(cls, user: str, messages: Sequence[Message]) -> History:
        """Take messages apart."""
        start = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
        system = "\n\n".join(message.content for message in messages[:start])
        digest, digests = _digest("", user, system), []
        for message in messages[start:]:
            digest = _digest(digest, message.role, message.content)
            digests.append(digest)
        return cls(user, system, tuple(messages[start:]), tuple(digests))

    def after(self, reply: str) -> str:
        """Digest of the conversation with a reply at its end."""
        return _digest(self.digests[-1] if self.digests else _digest("", self.user, self.system), "assistant", reply)


def storable(text: str) -> str:
    """A text as every store can hold it."""
    return text.replace("\0", "\ufffd")  # Postgres keeps no NUL


def _digest(before: str, *parts: str) -> str:
    """Chain parts to a digest, by which what was kept is known again, as it was told and as it is stored.

    Space around a part does not count: some clients trim what they were answered.
    """
    chained = hashlib.sha256(before.encode())
    for part in parts:
        data = storable(part).strip().encode("utf-8", "surrogatepass")
        chained.update(len(data).to_bytes(8, "big") + data)
    return chained.hexdigest()
