"""Attacking a chatbot's limits over many rounds, and the defences against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.redteam.attack import attack
    from telic.redteam.attackers.base import Attacker, AttackMind, AttackMove, Strategy
    from telic.redteam.config import AttackConfig
    from telic.redteam.kept import keep_attacks, replay_attacks
    from telic.redteam.results import AttackResults, AttackRun

__all__ = [
    "AttackConfig",
    "AttackMind",
    "AttackMove",
    "AttackResults",
    "AttackRun",
    "Attacker",
    "Strategy",
    "attack",
    "keep_attacks",
    "replay_attacks",
]

__getattr__ = imports(
    __name__,
    {
        "AttackConfig": "telic.redteam.config",
        "AttackMind": "telic.redteam.attackers.base",
        "AttackMove": "telic.redteam.attackers.base",
        "AttackResults": "telic.redteam.results",
        "AttackRun": "telic.redteam.results",
        "Attacker": "telic.redteam.attackers.base",
        "Strategy": "telic.redteam.attackers.base",
        "attack": "telic.redteam.attack",
        "keep_attacks": "telic.redteam.kept",
        "replay_attacks": "telic.redteam.kept",
    },
)
