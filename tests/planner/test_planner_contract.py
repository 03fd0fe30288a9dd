"""The contract of planners, run over all mappings, placements and ways to play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from telic.models.local import LocalModel
from telic.planner.networks import Actor
from telic.planner.planner import Planner
from tests.contracts.planner_contract import PlannerContract
from tests.planner.planners import act_planner_of, planner_of, trained


class TestLearned(PlannerContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "mistral", "gemma3", "gpt2")

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, **options)


class TestAfterTheSystemPrompt(PlannerContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "mistral")

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, **{"placement": "mid", "tokens": 3, **options})


class TestAtTheStart(PlannerContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "gpt2")

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, placement="start", width=16, **options)


class TestPrincipal(PlannerContract):
    can_be_idle: ClassVar[bool] = False  # each token needs a part of the action

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, mapping="principal", act_norm=1.5, **options)


class TestConstant(PlannerContract):
    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, reads="nothing", **options)


class TestResidual(PlannerContract):
    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return trained(planner_of(model, **options))


class TestNoise(PlannerContract):
    exploration: ClassVar[dict[str, Any]] = {"sigma": 0.5}
    draws: ClassVar[bool] = True

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return planner_of(model, **options)


class TestMixtureOfActs(PlannerContract):
    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return act_planner_of(model, **options)


class TestLargestAct(PlannerContract):
    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return act_planner_of(model, plays="largest", **options)


class TestDrawnAct(PlannerContract):
    draws: ClassVar[bool] = True

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return act_planner_of(model, plays="drawn", **options)


class TestTriedActs(PlannerContract):
    exploration: ClassVar[dict[str, Any]] = {"epsilon": 0.8}
    draws: ClassVar[bool] = True

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        return act_planner_of(model, plays="largest", **options)


class TestActsWithMemory(PlannerContract):
    def planner(self, model: LocalModel, **options: Any) -> Planner:
        planner = act_planner_of(model, plays="largest", remembers=True, **options)
        assert isinstance(planner.policy.clone, Actor)
        planner.policy.clone.again.data.fill_(-0.5)
        return planner
