"""Controls on their way to a vLLM server: what is sent builds the same control, and nothing else is built."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from telic.errors import ConfigError, UnsupportedControlError
from telic.models.control import Control
from telic.models.vllm.control_wire import ControlFiles, build_sent, pack
from telic.planner.control import PlannerControl
from telic.steering import Anchor, Belief, Guidance, Refresh, Reminder
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import draws
from tests.planner.planners import act_planner_of


def controls() -> list[Control]:
    first, second = draws(2)
    pinned = Belief({"user_age/child": {1: first}, "user_age/adult": {1: second}}, towards={"user_age": "child"})
    planner = act_planner_of(tiny.local("llama"), plays="largest")
    return [
        Guidance(2.0, "Be brief."),
        Refresh(1.5, keep=1),
        Anchor(),
        Vector({0: first, 2: second}, mode="cap", floor="first"),
        pinned,
        PlannerControl(planner=planner, sigma=0.5),
    ]


@pytest.mark.parametrize("control", controls(), ids=lambda control: control.name)
def test_a_server_builds_what_was_sent(control: Control) -> None:
    files = ControlFiles.from_dict(json.loads(json.dumps(pack(control).as_dict())))
    built = build_sent(files)
    assert type(built) is type(control)
    assert built.key == control.key
    assert pack(control).key == files.key


def test_a_tensor_that_differs_makes_another_key() -> None:
    one, other = (pack(Vector({0: torch.ones(4) * scale})) for scale in (1.0, 1.5))
    assert one.key != other.key


def test_what_a_server_does_not_build_is_refused_on_both_sides() -> None:
    with pytest.raises(UnsupportedControlError, match="'reminder' cannot be sent"):
        pack(Reminder())
    good = json.loads(pack(Guidance(2.0)).config)
    wrong: list[tuple[Any, str]] = [
        ({**good, "control": "memory"}, "'memory': expected one of"),
        ({**good, "control": ["guidance"]}, "expected one of"),
        ({**good, "options": {"gamma": "much"}}, "gamma"),
        ({**good, "options": {"path": "/etc"}, "control": "vector", "tensors": []}, "vector"),
        ([], "expected a table"),
    ]
    for config, words in wrong:
        with pytest.raises(ConfigError, match=words):
            build_sent(ControlFiles(json.dumps(config)))
    with pytest.raises(ConfigError, match="not JSON"):
        build_sent(ControlFiles("{"))
    vector = pack(Vector({0: torch.ones(4)}))
    with pytest.raises(ConfigError):
        build_sent(ControlFiles(vector.config, b"no tensors"))
    with pytest.raises(ConfigError, match="lists its tensors"):
        build_sent(ControlFiles(vector.config))
