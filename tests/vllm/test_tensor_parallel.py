"""A model whose layers two workers share, each in a process of its own: the local engine's replies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telic.errors import ConfigError, UnsupportedControlError
from telic.planner.control import PlannerControl
from telic.steering.vector import Vector
from tests.contracts.model_contract import Everywhere
from tests.models.tiny import MIDDLE, SHORT, ask, draws
from tests.planner.planners import planner_of
from tests.vllm import tiny_vllm
from tests.vllm.formats import calling, formed
from tests.vllm.test_scheduling import agree, mixed

pytestmark = pytest.mark.timeout(1800)  # a busy machine starts the workers for minutes


@pytest.fixture(scope="module")
def two() -> Any:
    return tiny_vllm.on_vllm(tensor_parallel_size=2, two_heads=True)


def test_mixed_controls_give_the_local_engines_replies(two: Any) -> None:
    requests = mixed(12)
    agree(two.generate(requests), tiny_vllm.local(two_heads=True).generate(requests))
    assert two._engine.idle


def test_formats_and_calls_are_the_local_engines(two: Any) -> None:
    requests = [*formed()[:6], *calling()[:3]]
    agree(two.generate(requests), tiny_vllm.local(two_heads=True).generate(requests))


def test_states_planners_and_vectors_are_the_local_engines(two: Any) -> None:
    local = tiny_vllm.local(two_heads=True)
    first, second = draws(2)
    for controls in ((), (PlannerControl(planner=planner_of(local)),), (Vector({0: first, 2: second}),)):
        request = ask(MIDDLE, controls=controls, logprobs=True, readings=("state", "reply_state"))
        [found], [expected] = two.generate([request]), local.generate([request])
        agree([found], [expected])
        assert found.state == pytest.approx(expected.state, abs=1e-3)
        assert found.reply_state == pytest.approx(expected.reply_state, abs=1e-3)


def test_a_control_of_ones_own_is_refused_before_any_work(two: Any) -> None:
    class Own(Everywhere):
        name = "own"
        points = frozenset({"logits"})

    told: list[int] = []
    with pytest.raises(UnsupportedControlError, match="'own' cannot be sent"):
        two.generate([ask(SHORT), ask(SHORT, controls=(Own(),))], lambda index, _: told.append(index))
    assert told == []


def test_a_stream_may_be_given_up(two: Any) -> None:
    stream = two.stream(replace(formed()[0]))
    assert next(stream)
    stream.close()
    assert two._engine.idle
    requests = mixed(3)
    agree(two.generate(requests), tiny_vllm.local(two_heads=True).generate(requests))


def test_an_option_that_vllm_lacks_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown option .tensor_paralel_size. of .*; did you mean .tensor_parallel_size"
    ):
        tiny_vllm.on_vllm(tensor_paralel_size=2)
