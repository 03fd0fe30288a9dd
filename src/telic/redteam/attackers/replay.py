"""Replay of a recorded attack, message by message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from telic.errors import ConfigError
from telic.models.requesting import RequestGenerator
from telic.redteam.attackers.base import START, AttackBrief, Attacker, AttackExchange, AttackMind, AttackMove, Strategy

__all__ = ["Replay"]


@dataclass(frozen=True)
class Replay(Strategy):
    """Says the messages of a recorded attack in their order."""

    messages: tuple[str, ...] = ()
    """The messages."""
    seeds: tuple[int, ...] = ()
    """Seeds of the target's replies, as they were; none for those of the new attack."""
    path: str = ""
    """A kept attack (`attacks/*.json`), instead of the messages."""

    name: ClassVar[str] = "replay"

    def check(self, mind: AttackMind | None) -> None:
        """Read the file, and refuse a replay of nothing."""
        if not self._recorded()[0]:
            raise ConfigError("attacker 'replay': nothing to say; set messages, or path = \"attacks/...\"")

    def join(self, brief: AttackBrief, mind: AttackMind | None = None) -> Attacker:
        """Take part in an episode."""
        return _Speaker(*self._recorded())

    def _recorded(self) -> tuple[list[str], list[int]]:
        if not self.path:
            return list(self.messages), list(self.seeds)
        try:
            record = json.loads(Path(self.path).read_text(encoding="utf-8"))
            return [str(text) for text in record["messages"]], [int(seed) for seed in record.get("seeds", [])]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"attacker 'replay': cannot read {self.path!r}: {error}") from None


class _Speaker:
    def __init__(self, messages: Sequence[str], seeds: Sequence[int]) -> None:
        self.messages, self.seeds = messages, seeds

    def next_moves(self, exchanges: Sequence[AttackExchange]) -> RequestGenerator[Sequence[AttackMove]]:
        """Say the next message."""
        number = len(exchanges)
        if number >= len(self.messages):
            return ()
        seed = self.seeds[number] if number < len(self.seeds) else None
        return [AttackMove(self.messages[number], number - 1 if number else START, seed=seed)]
        yield  # makes this a generator, which makes no requests
