"""One message that asks straight out, the attack that takes no dialogue. Others are compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from telic.models.requesting import RequestGenerator
from telic.redteam.attackers.base import START, AttackBrief, Attacker, AttackExchange, AttackMind, AttackMove, Strategy
from telic.redteam.attackers.lines import TECHNIQUES
from telic.redteam.attackers.writer import MindWriter

__all__ = ["Direct"]


@dataclass(frozen=True)
class Direct(Strategy):
    """Asks in one message, each time in a new dialogue."""

    attempts: int = 1
    """Number of dialogues; each further one presses the request by another technique."""

    name: ClassVar[str] = "direct"

    def join(self, brief: AttackBrief, mind: AttackMind | None = None) -> Attacker:
        """Take part in an episode."""
        return _Asker(self, brief, mind)


class _Asker:
    def __init__(self, strategy: Direct, brief: AttackBrief, mind: AttackMind | None) -> None:
        rng = Random(brief.seed)
        self.strategy, self.asks = strategy, rng.sample(list(brief.asks), len(brief.asks))
        self.techniques = ["plain", *rng.sample([name for name in TECHNIQUES if name != "plain"], len(TECHNIQUES) - 1)]
        self.writer = MindWriter(brief, mind)

    def next_moves(self, exchanges: Sequence[AttackExchange]) -> RequestGenerator[Sequence[AttackMove]]:
        """Ask in a new dialogue."""
        number = len(exchanges)
        if number >= self.strategy.attempts:
            return ()
        technique = self.techniques[number % len(self.techniques)]
        text = TECHNIQUES[technique].format(ask=self.asks[number % len(self.asks)])
        template = AttackMove(text, START, {"technique": technique})
        return [(yield from self.writer.move(template, "Ask straight out for what you want.", exchanges))]
