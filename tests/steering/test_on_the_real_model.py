"""The shipped controls on the model that installs with Telic, all in one batch."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from telic.models import LocalModel, Reply, Request
from telic.models.control import Control
from telic.models.session_cache import SessionCache
from telic.steering import Anchor, AttentionHold, Guidance, Prompt, Refresh, Reminder, SplitSoftmax
from tests.models import tiny

pytestmark = pytest.mark.model

CONTROLS: dict[str, tuple[Control, ...]] = {
    "nothing": (),
    "prompt": (Prompt(),),
    "reminder": (Reminder(),),
    "guidance": (Guidance(1.5),),
    "split_softmax": (SplitSoftmax(0.7),),
    "attention_hold": (AttentionHold(2.0),),
    "anchor": (Anchor(0.5),),
    "refresh": (Refresh(1.0),),
    "anchor and guidance": (Anchor(0.5), Guidance(1.5)),
    "several": (Reminder(every=2), AttentionHold(1.5), Guidance(1.3)),
}
OPTIONS: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 6, "logprobs": True, "ignore_eos": True}


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.bundled().model


def talked(model: LocalModel, controls: tuple[Control, ...]) -> Request:
    session = model.session("You are Mia, a travel agent.").user("Hello!")
    session.reply(controls=controls, **OPTIONS)
    return session.user("I want to get away in May. What is your name?").request(controls=controls, **OPTIONS)


def test_each_row_is_bent_by_its_own_control_only(model: LocalModel) -> None:
    requests = [talked(model, controls) for controls in CONTROLS.values()]
    alone = [model.generate([request])[0] for request in requests]
    found: set[tuple[float, ...]] = set()
    for together, single in zip(model.generate(requests), alone, strict=True):
        agree(together, single)
        found.add(tuple(round(value, 4) for value in single.logprobs or ()))
    assert len(found) == len(CONTROLS), "two controls did the same"


@pytest.mark.parametrize("name", CONTROLS)
def test_a_cached_answer_is_that_of_a_fresh_reading(model: LocalModel, name: str) -> None:
    request = talked(model, CONTROLS[name])
    assert request.cache is not None
    carried = SessionCache(control_state=deepcopy(request.cache.control_state))
    again = replace(request, cache=carried, keep=False)
    cached = model.generate([request])[0]
    assert cached.cached_tokens > 0
    agree(cached, model.generate([again])[0])


def agree(one: Reply, other: Reply) -> None:
    assert one.finish == other.finish == "length", one.failure
    assert one.token_ids == other.token_ids
    assert one.logprobs == pytest.approx(other.logprobs, abs=2e-3)
