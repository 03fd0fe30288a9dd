"""The interface of the classics: something that hears a text and says one."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

from telic.agents.classics.patterns import tidy

__all__ = ["Classic"]


class Classic(ABC):
    """A scripted conversationalist: pure, seeded, and never at a loss.

    Whatever it hears, it answers with a text that is not empty and at most `patterns.MAX_REPLY` characters long. The
    same seed and the same texts give the same answers.

    Args:
        seed: of its choices among answers that fit equally.
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
        """Hear a text and answer it."""
        self.turns += 1
        return tidy(self._reply(text)) or "Go on."

    @final
    def state(self) -> dict[str, Any]:
        """What it has in mind now, as JSON: for transcripts."""
        return {"name": self.name, "seed": self.seed, "turns": self.turns, "used": dict(self._used), **self._state()}

    def _next_of(self, key: str, answers: Sequence[str]) -> str:
        """The next of some answers that are used in turn; the seed says where they begin."""
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
