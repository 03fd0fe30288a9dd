"""The base class of the classics: programs that reply to a text."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

from telic.agents.classics.patterns import tidy

__all__ = ["Classic"]


class Classic(ABC):
    """A seeded conversational program without I/O.

    It replies to any text with a non-empty text of at most `patterns.MAX_REPLY` characters. The same seed and the same
    texts give the same replies.

    Args:
        seed: seed of the choices among equally suitable replies.
    """

    name: ClassVar[str]

    def __init__(self, seed: int = 0) -> None:
        self.reset(seed)

    @final
    def reset(self, seed: int = 0) -> None:
        """Start a new conversation."""
        self.seed, self.turns = seed, 0
        self._used: dict[str, int] = {}
        self._reset()

    @final
    def reply(self, text: str) -> str:
        """Return the reply to a text."""
        self.turns += 1
        return tidy(self._reply(text)) or "Go on."

    @final
    def state(self) -> dict[str, Any]:
        """Return the internal state as JSON for transcripts."""
        return {"name": self.name, "seed": self.seed, "turns": self.turns, "used": dict(self._used), **self._state()}

    def _next_of(self, key: str, answers: Sequence[str]) -> str:
        """Return the next of some replies that are used in turn; the seed determines the first."""
        if key not in self._used:
            self._used[key] = random.Random(f"{key} {self.seed}").randrange(len(answers))
        else:
            self._used[key] = (self._used[key] + 1) % len(answers)
        return answers[self._used[key]]

    @abstractmethod
    def _reset(self) -> None: ...

    @abstractmethod
    def _reply(self, text: str) -> str: ...

    @abstractmethod
    def _state(self) -> dict[str, Any]: ...
