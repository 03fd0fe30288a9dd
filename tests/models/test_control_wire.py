"""Controls and requests on their way to a vLLM server: what arrives is what was sent, and no other control is built."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
import torch

from telic.dialogue import Message, ToolCall, ToolDefinition
from telic.errors import ConfigError, UnsupportedControlError
from telic.models.control import Control, ControlContext
from telic.models.local.sequences import Sequence as TokenSequence
from telic.models.request import Reply, Request, Sampling
from telic.models.response_format import ResponseFormat
from telic.models.session_cache import SessionCache
from telic.models.vllm import VllmEndpoint, worker_processes
from telic.models.vllm.control_wire import ControlFiles, build_sent, pack
from telic.models.vllm.groups import ReplayedStream, SequenceGroup
from telic.models.vllm.plugin import worker
from telic.models.vllm.plugin.worker import WorkerExtension
from telic.models.vllm.protocol import FormatBody, GenerateBody, ModelCard, reply_from_wire, reply_to_wire
from telic.models.vllm.wire import CONTROLS, group_from_wire, group_to_wire
from telic.models.vllm.worker_processes import WorkerProcesses
from telic.planner.control import PlannerControl
from telic.steering import Anchor, Assume, Belief, Guidance, Refresh, Reminder
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
        Assume("You are talking to a child of eight."),
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


def endpoint() -> VllmEndpoint:
    card = ModelCard(
        protocol=2,
        telic="0",
        vllm="0.32",
        model="m",
        hidden_size=8,
        layers=2,
        points=["messages"],
        readings=[],
        context_length=99,
        max_batch=4,
    )
    return VllmEndpoint(card, "http://127.0.0.1:9")


def test_messages_and_calls_of_tools_arrive_as_they_were_sent() -> None:
    call = ToolCall(id="call00001", name="price_of", arguments='{"item": "lamp"}')
    messages = (
        Message(role="user", content="What does a lamp cost?", name="Ann"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="20 dollars", tool_call_id="call00001"),
    )
    tools = (ToolDefinition(name="price_of", description="The price of an item."),)
    request = Request(messages, Sampling(seed=1), tools=tools)
    sent, _ = endpoint()._prepared(request)
    read = GenerateBody.model_validate_json(json.dumps(sent))
    assert tuple(read.prompts[0].messages) == messages
    assert tuple(read.tools) == tools
    reply = Reply("Well.", "stop", tool_calls=(call,))
    wire = json.loads(json.dumps(reply_to_wire(reply, SessionCache(), greedy=False)))
    assert reply_from_wire(wire).tool_calls == (call,)


def test_a_format_and_a_required_call_arrive_as_they_were_sent() -> None:
    form = ResponseFormat.lark('start: "a"', trigger="<b>")
    tools = (ToolDefinition(name="price_of", description="The price of an item."),)
    request = Request((Message(role="user", content="Hi"),), Sampling(seed=1), response_format=form)
    for sent in (request, replace(request, response_format=None, tools=tools, tool_choice="price_of")):
        body, _ = endpoint()._prepared(sent)
        read = GenerateBody.model_validate_json(json.dumps(body))
        assert (read.response_format and read.response_format.read()) == sent.response_format
        assert read.tool_choice == sent.tool_choice


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("json_schema", "{", "json_schema is not JSON"),
        ("json_schema", "[1]", r"json_schema is '\[1\]'; expected a JSON object"),
        ("choice", '{"a": 1}', "expected a list of texts"),
        ("choice", "[]", "expected a list of texts"),
        ("json_object", "[" * 30_000, "not JSON"),
        ("regex", "a" * 100_001, "expected at most 100000"),
    ],
)
def test_a_format_that_is_none_is_refused_by_the_server(kind: Any, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FormatBody(kind=kind, text=text).read()


@pytest.mark.parametrize(
    "answer", ['{"error": {"message": "regex: unclosed group", "code": 400}}', '{"detail": "regex: unclosed group"}']
)
def test_a_format_that_the_server_refuses_is_an_error_in_its_words(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [httpx.Response(400, text=answer), httpx.Response(200, text="{}")]
    monkeypatch.setattr(httpx, "post", lambda *_, **__: replies.pop(0))
    model, form = endpoint(), ResponseFormat.regex("(")
    with pytest.raises(ConfigError, match=r"^regex: unclosed group$"):
        model.check_format(form)
    model.check_format(form)
    model.check_format(form)  # the server is not asked again
    assert replies == []


def test_a_group_carries_its_format_to_the_worker_which_compiles_it() -> None:
    local = tiny.local("llama")
    form = ResponseFormat.regex("[ab]{3}")
    context = ControlContext(local.render([Message(role="user", content="Hi")]), 3)
    group = SequenceGroup("g", [TokenSequence(context, ())], Sampling(seed=1), ReplayedStream(1))
    group.response_format, group.stop_id = form, 7
    wire = json.loads(json.dumps(group_to_wire(group)))
    read = group_from_wire("g", wire, local.engine.grammars)
    assert (read.response_format, read.stop_id) == (form, 7)
    assert read.matcher is not None
    tokens = local.template.encoder.encode("abab")
    assert read.matcher.validate_tokens(tokens) < len(tokens)


def test_a_group_carries_calls_of_tools_to_the_worker() -> None:
    local = tiny.local("llama")
    call = ToolCall(id="call00001", name="price_of")
    messages = (Message(role="user", content="Hi"), Message(role="assistant", content="", tool_calls=(call,)))
    context = ControlContext(local.render(messages), 3)
    group = SequenceGroup("g", [TokenSequence(context, ())], Sampling(seed=1), ReplayedStream(1))
    read = group_from_wire("g", json.loads(json.dumps(group_to_wire(group))), local.engine.grammars)
    assert read.sequences[0].context.rendering.messages == messages


def test_a_control_that_is_always_used_stays_in_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def collective_rpc(self, method: str, args: tuple[Any, ...]) -> list[Any]:
            return [getattr(WorkerExtension(), method)(*args)]

    for module in (worker, worker_processes):
        monkeypatch.setattr(module, "MOST_CONTROLS", 2)
    local, processes, always = tiny.local("llama"), WorkerProcesses(Engine()), Guidance(2.0, "Be brief.")
    context = ControlContext(local.render((Message(role="user", content="Hi"),)), 3)
    before = dict(CONTROLS)
    try:
        for number in range(8):
            controls = (always, Guidance(1.0, f"Be {number}."))
            group = SequenceGroup("g", [TokenSequence(context, controls)], Sampling(), ReplayedStream(1))
            read = group_from_wire("g", processes.describe(group), local.engine.grammars)
            assert [control.key for control in read.sequences[0].controls] == [control.key for control in controls]
        assert len(CONTROLS) <= 4
    finally:
        CONTROLS.clear()
        CONTROLS.update(before)
