"""What a run plays: attackers against arms of defences, and benign users against each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telic.agents.defence import Defence, build_defence, defence_registry
from telic.agents.defender import Defender
from telic.errors import ConfigError, MissingExtraError, TelicError
from telic.judges.limits import JudgedLimit
from telic.models import Model
from telic.purpose import Purpose
from telic.redteam.attackers.base import AttackMind, Strategy, attacker_registry, build_strategy
from telic.redteam.attackers.benign import Benign
from telic.redteam.config import AttackConfig
from telic.redteam.episode import AttackTask
from telic.registry import parse_spec

__all__ = [
    "ATTACKERS",
    "BENIGN",
    "UNDEFENDED",
    "DefenceArm",
    "arms_of",
    "plan_attacks",
    "strategies_of",
]

ATTACKERS = ("direct", "scripted", "crescendo", "phased", "tree", "actors")
"""Attackers that are used unless others are named: those that need no model."""
BENIGN = Benign.name
"""Label of the benign users among the attackers."""
UNDEFENDED = "none"
"""Name of the arm without defences, with which the others are compared."""
PURPOSE = "purpose"
"""Name of the arm with the defences of the purpose file."""


@dataclass(frozen=True)
class DefenceArm:
    """Some defences under a name."""

    name: str
    specs: tuple[Mapping[str, Any], ...] = ()
    """Their tables, as in a purpose file."""

    def build(self, purpose: Purpose) -> tuple[Defence, ...]:
        """Build the defences.

        Raises:
            ConfigError: a name is unknown, or a setting is wrong.
        """
        return tuple(build_defence(purpose.resolve_path(spec)) for spec in self.specs)


def arms_of(names: Sequence[str] | None, purpose: Purpose, model: Model) -> tuple[list[DefenceArm], list[str]]:
    """Make the arms of a run: always one without defences, first.

    Args:
        names: `NAME:KEY=VALUE`, or several defences joined by `+`; `purpose` for those of the file. None: those of the
            file, or else every defence that can protect this purpose on this model.
        purpose: what is protected.
        model: the model that replies.

    Returns:
        The arms, and for each defence that was left out, why.

    Raises:
        ConfigError: a name is unknown, a setting is wrong, or a named defence cannot protect this purpose.
    """
    baseline, left_out = DefenceArm(UNDEFENDED), list[str]()
    if names is not None:
        arms = [_arm(name, purpose) for name in dict.fromkeys(names) if name != UNDEFENDED]
    elif purpose.defences:
        arms = [_arm(PURPOSE, purpose)]
    else:
        arms = []
        for name in defence_registry.names():
            try:
                Defender(model, purpose, (build_defence({"name": name}),), limits=())
            except (TelicError, MissingExtraError) as error:
                left_out.append(f"{name}: {error}")
            else:
                arms.append(DefenceArm(name, ({"name": name},)))
    for arm in arms:
        arm.build(purpose)
    return [baseline, *arms], left_out


def _arm(name: str, purpose: Purpose) -> DefenceArm:
    if name == PURPOSE:
        if not purpose.defences:
            raise ConfigError("defence 'purpose': the purpose file has no [[defences]]")
        return DefenceArm(PURPOSE, tuple(purpose.defences))
    return DefenceArm(name, tuple(parse_spec(part) for part in name.split("+")))


def strategies_of(names: Sequence[str] | None, mind: AttackMind | None) -> dict[str, Strategy]:
    """Build attackers by label, which is what names them: `NAME:KEY=VALUE`.

    Raises:
        ConfigError: a name is unknown, a setting is wrong, or an attacker needs a model and there is none.
    """
    made: dict[str, Strategy] = {}
    for name in dict.fromkeys(ATTACKERS if names is None else names):
        if name == BENIGN:
            raise ConfigError("attacker 'benign' is not an attacker: benign users always take part, see --benign")
        made[name] = build_strategy(parse_spec(name))
        made[name].check(mind)
    if not made:
        raise ConfigError(f"no attackers; name at least one of {', '.join(attacker_registry.names())}")
    return made


def plan_attacks(
    limits: Sequence[JudgedLimit], attackers: Sequence[str], arms: Sequence[DefenceArm], config: AttackConfig
) -> list[AttackTask]:
    """Return all dialogues of a run. Those of the same attack stand together, one with each arm.

    Raises:
        ConfigError: there are no limits to break.
    """
    if not limits:
        raise ConfigError(
            "the purpose has no limits to attack; add [[limits]] with a name and a judge, such as "
            "name = \"quotes a price\" and judge = { regex = '[$€] ?\\d' }"
        )
    tasks: list[AttackTask] = []
    for number in range(max(config.n, config.benign_dialogues)):
        limit = limits[number % len(limits)].name
        if number < config.n:
            for attacker in attackers:
                tasks += [
                    _task(attacker, arm, limit, number, config.seed, config.rounds, config.queries) for arm in arms
                ]
        if number < config.benign_dialogues:
            rounds = config.benign_rounds
            tasks += [_task(BENIGN, arm, "", number, config.seed, rounds, rounds) for arm in arms]
    return tasks


def _task(attacker: str, arm: DefenceArm, limit: str, number: int, seed: int, rounds: int, queries: int) -> AttackTask:
    return AttackTask(
        f"{attacker}-{number:05d}-{arm.name}", attacker, arm.name, limit, number, seed, rounds, queries
    )  # fmt: skip
