"""Telic's requests over HTTP: a real vLLM server with the plug-in, started by `telic vllm-serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models.base import Model
from telic.models.capabilities import Scorer
from telic.models.catalog import load
from telic.models.remote import RemoteModel
from telic.models.request import Continuation, Reply, Sampling
from telic.models.response_format import ResponseFormat
from telic.models.vllm import VllmEndpoint
from telic.planner.control import PlannerControl
from telic.steering import Belief, Guidance, Refresh, Reminder, SplitSoftmax
from telic.steering.vector import Vector
from tests.contracts.model_contract import Everywhere, ModelContract
from tests.models.tiny import LONG, MIDDLE, SHORT, ask, draws
from tests.planner.planners import act_planner_of, planner_of
from tests.vllm import tiny_vllm
from tests.vllm.formats import calling, formed
from tests.vllm.test_scheduling import CONTROLS, agree, mixed

KEY = "a-key-of-the-tests"
SECONDS = 560
"""Time in which the server has to start; a busy machine imports vLLM for minutes."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if running := os.environ.get("TELIC_TEST_VLLM_SERVER"):  # one that was started by hand, as below
        yield running
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    options = ("--port", str(port), "--name", "tiny-llama", "--max-batch", "16", "--dtype", "float32")
    command = [sys.executable, "-m", "telic.cli.main", "vllm-serve", str(tiny_vllm.folder()), *options]
    flags = ("--", "--num-gpu-blocks-override", "512", "--api-key", KEY)
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, *flags], stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture
def model(address: str) -> Any:
    found = load(f"{address}#tiny-llama", api_key=KEY)
    assert isinstance(found, VllmEndpoint)
    return found


class TestOverHttp(ModelContract):
    @pytest.fixture
    def model(self, address: str, monkeypatch: pytest.MonkeyPatch) -> Model:
        found = load(address, api_key=KEY)
        assert isinstance(found, VllmEndpoint)
        prepared = found._prepared

        def broken(request: Any) -> Any:
            body, same = prepared(request)
            if "makes the model fail" in body["prompts"][0]["messages"][-1]["content"]:
                body["readings"] = ["attention"]  # which the server refuses
                body["sampling"] = {"unknown": 1}
            return body, same

        monkeypatch.setattr(found, "_prepared", broken)
        return found


def test_it_says_what_it_can(model: Any) -> None:
    assert model.points == {"messages", "embeddings", "logits", "residual"}
    assert model.readings == {"state", "reply_state"}
    assert (model.hidden_size, model.layers, model.context_length) == (32, 3, tiny_vllm.CONTEXT)
    assert isinstance(model, Scorer)
    with pytest.raises(UnsupportedControlError, match="split_softmax"):
        model.generate([ask(SHORT, controls=(SplitSoftmax(0.8),))])
    with pytest.raises(UnsupportedControlError, match="attention"):
        model.generate([ask(SHORT, readings=("attention",))])


def test_mixed_controls_give_the_local_engines_replies(model: Any) -> None:
    requests = mixed(18)
    agree(model.generate(requests), tiny_vllm.local().generate(requests))


def test_replies_in_a_form_and_required_calls_are_the_local_engines(model: Any) -> None:
    for requests in (formed(), calling()):
        found, expected = model.generate(requests), tiny_vllm.local().generate(requests)
        agree(found, expected)
        assert [reply.tool_calls for reply in found] == [reply.tool_calls for reply in expected]
    *pieces, reply = model.stream(formed()[0])
    assert "".join(pieces) == reply.text
    assert len(pieces) > 1


def test_a_wrong_format_is_refused_before_anything_is_sent(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    wrong = replace(ask(SHORT), response_format=ResponseFormat.json_schema({"properties": {"a": {"type": "strin"}}}))
    with pytest.raises(ConfigError, match=r"json_schema, at /properties/a: Invalid type: strin"):
        model.generate([ask(SHORT), wrong], lambda index, _: told.append(index))
    assert told == []
    monkeypatch.setattr(model, "check_format", lambda _: None)  # as of a format that only the server looks at
    free, refused = model.generate([ask(SHORT), wrong])
    assert free.failure is None
    assert refused.failure is not None
    assert refused.failure.kind == "response_format"
    assert "Invalid type: strin" in refused.failure.detail


def test_a_hostile_pattern_fails_alone(model: Any) -> None:
    form = ResponseFormat.regex("(.*a.{1200}){40}")  # its states explode only while it is followed
    hostile = replace(ask(SHORT, max_new_tokens=400, temperature=1.0, seed=3), response_format=form)
    good = formed()[0]
    bad, reply = model.generate([hostile, good])
    assert bad.failure is None or bad.failure.kind == "response_format"
    agree([reply], tiny_vllm.local().generate([good]))


def test_states_planner_vector_and_belief_are_the_local_engines(model: Any) -> None:
    local = tiny_vllm.local()
    first, second = draws(2)
    planner = PlannerControl(planner=planner_of(local))
    pinned = Belief({"user_age/child": {1: first}, "user_age/adult": {1: second}}, towards={"user_age": "child"})
    for controls in (
        (),
        (planner,),
        (planner, Refresh(1.5)),
        (Vector({0: first, 2: second}),),
        (Vector({1: first}, mode="cap", floor="first"), Guidance(2.0)),
        (pinned, Reminder()),
    ):
        dialogues = [request.messages for request in mixed(3)]
        base = ask(SHORT, controls=controls, logprobs=True, readings=("state", "reply_state"), seed=4)
        requests = [replace(base, messages=messages) for messages in dialogues]
        found, expected = model.generate(requests), local.generate(requests)
        agree(found, expected)
        for one, other in zip(found, expected, strict=True):
            assert one.state == pytest.approx(other.state, abs=1e-3)
            assert one.reply_state == pytest.approx(other.reply_state, abs=1e-3)
            assert one.chosen.keys() == other.chosen.keys()


def test_a_session_carries_what_a_planner_remembers(model: Any) -> None:
    local = tiny_vllm.local()
    planner = act_planner_of(local, plays="largest", remembers=True)
    said = []
    for each in (model, local):
        session = each.session("Be Mia.")
        for text in (SHORT, MIDDLE, SHORT):
            session.user(text).reply(controls=(PlannerControl(planner=planner),), max_new_tokens=4, temperature=0.0)
        said.append([message.content for message in session])
        assert session.cache.control_state["acts played"]
        assert sum(session.cache.control_state["acts played"]) == 3
    assert said[0] == said[1]


def test_prefixes_choices_and_scores_are_the_local_engines(model: Any) -> None:
    local = tiny_vllm.local()
    for controls in CONTROLS[:3]:
        request = replace(ask(MIDDLE, controls=controls, logprobs=True), reply_prefix="Hello")
        agree(model.generate([request]), local.generate([request]))
        chosen = replace(ask(SHORT, controls=controls, temperature=1.0, seed=3), choices=("one", "two", "Where to go"))
        assert model.generate([chosen])[0].text == local.generate([chosen])[0].text
        continuations = [Continuation(request.messages, text) for text in ("Never quote a price.", "I")]
        for found, expected in zip(
            model.score(continuations, controls), local.score(continuations, controls), strict=True
        ):
            assert found.logprob == pytest.approx(expected.logprob, abs=1e-3)
            assert (found.tokens, found.greedy) == (expected.tokens, expected.greedy)
    with pytest.raises(ModelError, match="empty continuation"):
        model.score([Continuation(request.messages, "")])


def test_a_stream_comes_piece_by_piece_and_may_be_given_up(model: Any) -> None:
    request = ask(LONG, controls=(Refresh(1.5),), max_new_tokens=30, ignore_eos=True)
    *pieces, reply = model.stream(request)
    assert len(pieces) > 5
    assert "".join(pieces) == reply.text == tiny_vllm.local().generate([request])[0].text
    given_up = model.stream(replace(request, sampling=Sampling(max_new_tokens=300, ignore_eos=True, seed=1)))
    assert next(given_up)
    given_up.close()
    agree(model.generate(mixed(4)), tiny_vllm.local().generate(mixed(4)))


def test_a_control_that_the_server_has_forgotten_is_sent_again(model: Any) -> None:
    request = ask(SHORT, controls=(Guidance(2.25),), logprobs=True)
    model._sent[request.controls[0].key] = "0" * 32
    agree(model.generate([request]), tiny_vllm.local().generate([request]))


def test_a_control_of_ones_own_is_refused_before_anything_is_sent(model: Any) -> None:
    class Own(Everywhere):
        name = "own"
        points = frozenset({"logits"})

    with pytest.raises(UnsupportedControlError, match="'own' cannot be sent"):
        model.generate([ask(SHORT, controls=(Own(),))])


def test_a_full_context_is_told_as_by_the_local_engine(model: Any) -> None:
    [reply] = model.generate([ask("a " * 1000)])
    assert reply.finish == "context"
    assert reply.failure is not None
    assert reply.failure.kind == "context_full"


def test_without_a_key_nothing_is_answered(address: str) -> None:
    root = address.removesuffix("/v1")
    for path in ("model", "controls", "formats", "generate"):
        method = "GET" if path == "model" else "POST"
        assert httpx.request(method, f"{root}/telic/v1/{path}", json={}).status_code == 401
    stranger = load(f"{address}#tiny-llama", api_key="another")
    assert type(stranger) is RemoteModel


def test_what_the_server_says_of_bad_requests(address: str) -> None:
    root, headers = address.removesuffix("/v1"), {"Authorization": f"Bearer {KEY}"}
    prompts = [{"messages": [{"role": "user", "content": "Hi"}]}]
    good: dict[str, Any] = {"prompts": prompts, "sampling": {"max_new_tokens": 2, "temperature": 0.0}}
    bad: list[tuple[Any, int, str]] = [
        ({}, 400, "prompts"),
        ({**good, "sampling": {"temperature": -1}}, 400, "temperature is -1"),
        ({**good, "sampling": {"heat": 1}}, 400, "heat"),
        ({**good, "readings": ["thoughts"]}, 400, "unknown reading 'thoughts'"),
        ({**good, "controls": ["nobody"]}, 409, "unknown control"),
        ({**good, "prompts": [*prompts, {**prompts[0], "owner": 3}]}, 400, "owners"),
        ({**good, "prompts": [{"messages": [{"role": "boss", "content": "x"}]}]}, 400, "messages"),
        ({**good, "forced": ""}, 400, "empty"),
        ({**good, "more": 1}, 400, "more"),
        ({**good, "tool_choice": "required"}, 400, "tool_choice is 'required'"),
        ({**good, "response_format": {"kind": "prose", "text": ""}}, 400, "response_format.kind"),
        ({**good, "response_format": {"kind": "json_schema", "text": "{"}}, 400, "not JSON"),
        ([], 400, "no JSON object"),
    ]
    for body, status, words in bad:
        answer = httpx.post(f"{root}/telic/v1/generate", json=body, headers=headers)
        assert (answer.status_code, words in answer.text) == (status, True), (body, answer.text)
    for form, words in (
        ({"kind": "regex", "text": "("}, "unclosed group"),
        ({"kind": "regex"}, "text"),
        ([], "JSON object"),
    ):
        answer = httpx.post(f"{root}/telic/v1/formats", json=form, headers=headers)
        assert (answer.status_code, words in answer.text) == (400, True), (form, answer.text)
    told = httpx.post(f"{root}/telic/v1/generate", json=good, headers=headers, timeout=60).json()
    assert told["new_tokens"] == 2
    for config in ("{", "[]", json.dumps({"control": "memory", "options": {}}), json.dumps({"control": "vector"})):
        answer = httpx.post(f"{root}/telic/v1/controls", json={"config": config}, headers=headers)
        assert answer.status_code == 400, (config, answer.text)


def test_vllms_own_endpoint_still_answers_and_takes_nobody_into_a_group(address: str) -> None:
    plain = RemoteModel("tiny-llama", address, api_key=KEY, retries=0)
    [reply] = plain.generate([ask(SHORT)])
    assert isinstance(reply, Reply)
    assert reply.failure is None
    forged = RemoteModel(
        "tiny-llama",
        address,
        api_key=KEY,
        retries=0,
        extra_body={"vllm_xargs": {"telic": json.dumps({"group": "x", "place": 0, "size": 1})}},
    )
    [refused] = forged.generate([ask(SHORT)])
    assert refused.failure is not None
    assert "400" in refused.failure.detail
