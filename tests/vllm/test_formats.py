"""Replies in a given form and required calls of tools, on vLLM in this process: those of the local engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from telic.errors import ConfigError
from telic.models.control import Control, ControlContext
from telic.models.grammars import LIMITS, matches
from telic.models.response_format import ResponseFormat
from tests.models import tiny
from tests.models.tiny import MIDDLE, SHORT, ask
from tests.vllm import tiny_vllm
from tests.vllm.formats import FORMATS, calling, formed
from tests.vllm.test_scheduling import agree


def test_replies_in_a_form_are_the_local_engines(tiny_on_vllm: Any) -> None:
    requests = formed()
    found = tiny_on_vllm.generate(requests)
    agree(found, tiny_vllm.local().generate(requests))
    complete = [(r, q) for r, q in zip(found, requests, strict=True) if r.finish == "stop" and q.response_format]
    assert len(complete) >= 9
    for reply, request in complete:
        assert request.response_format is not None
        assert matches(request.response_format, reply.text), reply.text


def test_required_and_named_calls_are_the_local_engines(tiny_on_vllm: Any) -> None:
    requests = calling()
    found, expected = tiny_on_vllm.generate(requests), tiny_vllm.local().generate(requests)
    agree(found, expected)
    assert [reply.tool_calls for reply in found] == [reply.tool_calls for reply in expected]
    for reply, request in zip(found, requests, strict=True):
        if request.tool_choice in ("required", "price_of", "swap"):
            [call] = reply.tool_calls
            assert request.tool_choice in ("required", call.name)
            assert all(value in ("lamp", "chair", "three sofas") for value in call.parsed().values())


def test_a_stream_adds_up_and_shows_no_call(tiny_on_vllm: Any) -> None:
    *pieces, reply = tiny_on_vllm.stream(formed()[0])
    assert "".join(pieces) == reply.text
    assert len(pieces) > 1
    assert [piece for piece in tiny_on_vllm.stream(calling()[1]) if isinstance(piece, str)] == []


def test_formats_go_on_after_groups_were_preempted(monkeypatch: pytest.MonkeyPatch, tiny_on_vllm: Any) -> None:
    from telic.models.vllm.plugin import scheduler

    model = tiny_vllm.on_vllm(num_gpu_blocks_override=31, enable_prefix_caching=False)
    preempted: list[str] = []
    preempt = scheduler.GroupScheduler._preempt_request

    def spy(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        preempted.append(request.request_id)
        preempt(self, request, *args, **kwargs)

    monkeypatch.setattr(scheduler.GroupScheduler, "_preempt_request", spy)
    form = ResponseFormat.regex(r"([a-z]{4}[0-9]{2}){30}")
    requests = [
        replace(request, response_format=form, sampling=replace(request.sampling, max_new_tokens=80))
        for request in formed()
    ]
    agree(model.generate(requests), tiny_vllm.local().generate(requests))
    assert preempted, "the cache was large enough for all"


class Always(Control):
    """Makes one token the most likely one."""

    name = "always"
    points = frozenset({"logits"})

    def __init__(self, token: int, by: float) -> None:
        self.token, self.by = token, by

    @property
    def key(self) -> str:
        return f"always {self.token} {self.by}"

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: Any) -> Any:
        logits_R_V = logits_R_V.clone()
        logits_R_V[:, self.token] += self.by
        return logits_R_V


def test_a_reply_ends_where_its_form_is_complete_and_nowhere_else(tiny_on_vllm: Any) -> None:
    form = ResponseFormat.regex("a{5,9}")
    eager, unwilling = (
        replace(ask(MIDDLE, controls=(Always(tiny.EOS, by),), max_new_tokens=40), response_format=form)
        for by in (1e4, -1e4)
    )
    soon, late = found = tiny_on_vllm.generate([eager, unwilling])
    assert (soon.text, soon.finish, soon.token_ids[-1]) == ("a" * 5, "stop", tiny.EOS)
    assert (late.text, late.finish) == ("a" * 9, "stop")
    assert [r.token_ids for r in found] == [r.token_ids for r in tiny_vllm.local().generate([eager, unwilling])]


def test_a_hostile_pattern_fails_alone_and_at_once(tiny_on_vllm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "max_lexer_states", 100)
    hostile = replace(
        ask(SHORT, max_new_tokens=400, temperature=1.0, seed=3),
        response_format=ResponseFormat.regex("(.*a.{200}){20}"),
    )
    good = formed()[0]
    bad, reply = tiny_on_vllm.generate([hostile, good])
    assert bad.failure is not None
    assert bad.failure.kind == "response_format"
    assert "cannot go on in its response format" in bad.failure.detail
    assert bad.new_tokens < 400
    agree([reply], tiny_vllm.local().generate([good]))


def test_a_wrong_format_is_refused_before_any_work(tiny_on_vllm: Any) -> None:
    wrong = replace(ask(SHORT), response_format=ResponseFormat.lark("start: nothing"))
    told: list[int] = []
    with pytest.raises(ConfigError, match=r"response format: lark"):
        tiny_on_vllm.generate([ask(SHORT), wrong], lambda index, _: told.append(index))
    assert told == []
    assert tiny_on_vllm._engine.idle
    with pytest.raises(ConfigError, match=r"at /properties/a: Invalid type"):
        tiny_on_vllm.check_format(ResponseFormat.json_schema({"properties": {"a": {"type": "strin"}}}))


def test_a_planner_and_a_session_go_with_a_form(tiny_on_vllm: Any) -> None:
    from telic.planner.control import PlannerControl
    from tests.planner.planners import planner_of

    local = tiny_vllm.local()
    planner = PlannerControl(planner=planner_of(local))
    request = replace(ask(MIDDLE, controls=(planner,), max_new_tokens=48, logprobs=True), response_format=FORMATS[0])
    agree(tiny_on_vllm.generate([request]), local.generate([request]))
