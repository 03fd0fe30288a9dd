"""The gate's off-policy estimate: from decisions of a planner that draws its acts, and its refusal to answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from telic.episodes import Episode, Turn
from telic.models import FakeModel
from telic.planner import Planner, PlannerControl
from telic.promotion.contender import Contender
from telic.promotion.gate_config import GateConfig
from telic.promotion.gate_logs import check_logs
from telic.purpose import Purpose
from tests.models import tiny
from tests.planner.planners import acts_of

STATES, CONVERSATIONS = 8, 240


@pytest.fixture(scope="module")
def old() -> PlannerControl:
    model = tiny.local("llama")
    planner = Planner.new(model, acts=acts_of(model), plays="drawn")
    return PlannerControl(planner=planner, epsilon=0.2)


def episodes(control: PlannerControl, good: int, version: str | None = None) -> Iterator[Episode]:
    """Conversations with one decision each; users are satisfied with one of the acts."""
    planner, draw = control.planner, torch.Generator().manual_seed(0)
    count = planner.shape.action_size
    states = [torch.randn(planner.shape.state_size, generator=draw) for _ in range(STATES)]
    for number in range(CONVERSATIONS):
        state = states[number % STATES]
        shares = [math.exp(control.decision_logprob(state.tolist(), act(one, count)) or 0.0) for one in range(count)]
        chosen = int(torch.multinomial(torch.tensor(shares), 1, generator=draw))
        content: dict[str, Any] = {"purpose": "travel", **({"version": version} if version else {})}
        origin = {"setup": "s", "planner": {"state": state.tolist(), "action": act(chosen, count)}}
        turn = Turn(
            role="assistant", round=1, text="x", scores={"satisfaction": 0.9 if chosen == good else 0.3}, origin=origin
        )
        roles = {"assistant": {"name": "a", "system": ""}, "user": {"name": "u", "system": ""}}
        metadata = {"user": f"u{number}", "setups": {"s": content}}
        yield Episode(id=str(number), kind="served", seed=0, roles=roles, turns=[turn], metadata=metadata)


def act(one: int, count: int) -> list[float]:
    return [float(index == one) for index in range(count)]


def compared(monkeypatch: pytest.MonkeyPatch, old: PlannerControl, new: PlannerControl, logs: Iterator[Episode]) -> Any:
    contender = [Contender(FakeModel(), Purpose(name="travel", system="x", rules=[rule])) for rule in ("old", "new")]
    planners = {"old": old, "new": new}
    monkeypatch.setattr("telic.promotion.gate_logs._planner_of", lambda one: planners[one.purpose.rules[0]])
    return check_logs(contender[1], contender[0], "base", logs, GateConfig())


def test_the_same_planner_is_no_worse(monkeypatch: pytest.MonkeyPatch, old: PlannerControl) -> None:
    found = compared(monkeypatch, old, old, episodes(old, 0))
    assert (found.verdict, found.difference.value, found.difference.n) == ("passed", pytest.approx(0), CONVERSATIONS)
    assert found.candidate.value == pytest.approx(found.served.value)


def test_a_planner_that_draws_more_evenly_is_estimated(monkeypatch: pytest.MonkeyPatch, old: PlannerControl) -> None:
    new = PlannerControl(planner=old.planner, epsilon=0.9)
    count = old.planner.shape.action_size
    found = compared(monkeypatch, old, new, episodes(old, 0))
    truth = 0.3 + 0.6 * (0.9 / count)  # and a tenth as the planner draws
    assert found.verdict in ("passed", "worse", "inconclusive")
    assert found.candidate.low <= truth + 0.06
    assert found.candidate.high >= truth
    assert "effective sample size" in found.note


def test_it_refuses_where_the_logs_say_nothing(monkeypatch: pytest.MonkeyPatch, old: PlannerControl) -> None:
    greedy = PlannerControl(planner=Planner(old.planner.shape, old.planner.policy, old.planner.mapping))
    assert greedy.explores
    other = compared(monkeypatch, old, old, episodes(old, 0, "v7"))
    assert (other.verdict, "no decisions of the served planner" in other.note) == ("skipped", True)
    few = (episode for number, episode in enumerate(episodes(old, 0)) if number < 30)
    small = compared(monkeypatch, old, old, few)
    assert small.verdict == "skipped"
    assert "worth 30 conversations" in small.note
    assert "simulated users decide" in small.note


def test_the_probabilities_of_all_acts_add_up(old: PlannerControl) -> None:
    count = old.planner.shape.action_size
    state = torch.randn(old.planner.shape.state_size).tolist()
    found = [old.decision_logprob(state, act(one, count)) for one in range(count)]
    assert sum(math.exp(one) for one in found if one is not None) == pytest.approx(1, abs=1e-4)
    assert old.decision_logprob(state[:-1], act(0, count)) is None
