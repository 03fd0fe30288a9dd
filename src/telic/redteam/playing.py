"""Playing attacks: in this process, or in workers, which load the models themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from telic.episodes import Episode
from telic.judges.limits import JudgedLimit, judged_limits
from telic.models import Model, Reply, load
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.redteam.attackers.base import AttackMind, Strategy
from telic.redteam.attackers.benign import Benign
from telic.redteam.episode import AttackTask, play_attack
from telic.redteam.plan import BENIGN, DefenceArm, strategies_of
from telic.redteam.target import AttackTarget
from telic.rollouts.admission import Admission
from telic.rollouts.driver import drive
from telic.rollouts.workers import TaskRunner

__all__ = ["AttackPlayer", "AttackRunnerMaker"]


class AttackPlayer:
    """Plays the attacks of a run.

    Args:
        model: the model that is attacked.
        purpose: its purpose.
        arms: the defences to compare.
        strategies: the attackers by label.
        mind: writes the attackers' messages; None for templates.

    Raises:
        ConfigError: a judge is wrong, or a defence cannot protect this purpose on this model.
        UnsupportedControlError: a defence cannot act on this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        arms: Sequence[DefenceArm],
        strategies: Mapping[str, Strategy],
        mind: AttackMind | None = None,
    ) -> None:
        limits = judged_limits(purpose, model)
        self.limits: dict[str, JudgedLimit] = {limit.name: limit for limit in limits}
        self.targets = {arm.name: AttackTarget(model, purpose, arm.build(purpose), limits=limits) for arm in arms}
        self.strategies, self.mind = strategies, mind

    @property
    def models(self) -> list[Model]:
        """All models that take part, each once."""
        asked = [model for target in self.targets.values() for model in target.models]
        asked += [self.mind.model] if self.mind else []
        return list({id(model): model for model in asked}.values())

    def play(
        self,
        tasks: Iterable[AttackTask],
        concurrency: int,
        on_episode: Callable[[Episode], None],
        on_reply: Callable[[Reply], None] | None = None,
        admission: Admission | None = None,
    ) -> None:
        """Play attacks, `concurrency` of them at once."""
        episodes: Iterator[RequestGenerator[Episode]] = (self._start(task) for task in tasks)
        drive(
            episodes, self.models, concurrency=concurrency, on_episode=on_episode, on_reply=on_reply,
            admission=admission,
        )  # fmt: skip

    def _start(self, task: AttackTask) -> RequestGenerator[Episode]:
        target = self.targets[task.defence]
        if task.attacker == BENIGN:
            return play_attack(task, target, None, Benign())
        return play_attack(task, target, self.limits[task.limit], self.strategies[task.attacker], self.mind)


@dataclass(frozen=True)
class AttackRunnerMaker:
    """Makes what plays attacks in a worker. It can be pickled."""

    model: str
    purpose: Purpose
    arms: tuple[DefenceArm, ...]
    attackers: tuple[str, ...]
    mind: str | None

    def __call__(self) -> TaskRunner:
        """Load the models."""
        model = load(self.purpose if self.model == self.purpose.model else self.model)
        mind = None
        if self.mind is not None:
            mind = AttackMind(model if self.mind == self.model else load(self.mind))
        return AttackPlayer(model, self.purpose, self.arms, strategies_of(self.attackers, mind), mind).play
