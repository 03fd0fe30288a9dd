"""Scripted lines: requests, and the lines of dialogue acts that press them. It does not listen to the replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from telic.models.requesting import RequestGenerator
from telic.redteam.attackers.base import START, AttackBrief, Attacker, AttackExchange, AttackMind, AttackMove, Strategy
from telic.redteam.attackers.lines import act_lines
from telic.redteam.attackers.writer import MindWriter

__all__ = ["Scripted"]


@dataclass(frozen=True)
class Scripted(Strategy):
    """Says lines in an order drawn by the seed, whatever the target replies."""

    name: ClassVar[str] = "scripted"

    def join(self, brief: AttackBrief, mind: AttackMind | None = None) -> Attacker:
        """Take part in an episode."""
        return _Reciter(brief, mind)


class _Reciter:
    def __init__(self, brief: AttackBrief, mind: AttackMind | None) -> None:
        rng = Random(brief.seed)
        asks, acts = rng.sample(list(brief.asks), len(brief.asks)), rng.sample(act_lines(), len(act_lines()))
        self.lines = [asks[0], *(f"{act} {asks[number % len(asks)]}" for number, act in enumerate(acts, start=1))]
        self.writer = MindWriter(brief, mind)

    def next_moves(self, exchanges: Sequence[AttackExchange]) -> RequestGenerator[Sequence[AttackMove]]:
        """Say the next line."""
        line = self.lines[len(exchanges) % len(self.lines)]
        template = AttackMove(line, exchanges[-1].number if exchanges else START)
        return [(yield from self.writer.move(template, f'Say this in your own words: "{line}"', exchanges))]
