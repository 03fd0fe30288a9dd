"""The API, as OpenAI's own client and clients of llama.cpp use it, over a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from sqlalchemy.exc import OperationalError

from telic.errors import Failure
from telic.models import FakeModel, Reply, Request, Sampling, ScriptedModel
from telic.purpose import Purpose, SamplingDefaults
from telic.server.records import NewTurns
from tests.server.conftest import PURPOSE, Start, events

HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


def named_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def test_the_official_client_gets_an_answer(start: Start) -> None:
    served = start(ScriptedModel(lambda messages: f"{messages[0].content} | {messages[-1].content}"))
    with served.client() as client:
        assert [model.id for model in client.models.list()] == ["travel"]
        assert client.models.retrieve("travel").owned_by == "telic"
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    [choice] = answer.choices
    assert choice.message.content == "You are Mia, a travel agent. | Hello"
    assert (choice.finish_reason, choice.index, choice.message.role) == ("stop", 0, "assistant")
    assert (answer.object, answer.model) == ("chat.completion", "travel")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 8, 15)


def test_a_stream_adds_up_to_the_answer(start: Start) -> None:
    served = start(FakeModel(seed=3))
    with served.client() as client:
        whole = client.chat.completions.create(model="m", messages=HELLO, seed=5)
        stream = client.chat.completions.create(
            model="m", messages=HELLO, seed=5, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3, "piece by piece"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_has_no_usage_unless_asked_and_ends_with_done(start: Start) -> None:
    with start().http() as http:
        answer = http.post("/v1/chat/completions", json={"messages": HELLO, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert len(events) > 2
    assert all("usage" not in json.loads(event) or not json.loads(event)["usage"] for event in events[:-1])


def test_sampling_options(start: Start) -> None:
    served = start(FakeModel())
    with served.client() as client:

        def ask(**options: Any) -> tuple[str, str]:
            choice = client.chat.completions.create(model="m", messages=HELLO, **options).choices[0]
            return choice.message.content or "", choice.finish_reason

        assert ask(seed=1) == ask(seed=1) != ask(seed=2)
        assert ask(seed=1, temperature=0) == ask(seed=2, temperature=0) == ask(seed=3, top_p=0)
        text, finish = ask(seed=1, max_tokens=3)
        assert (len(text.split()), finish) == (3, "length")
        assert ask(seed=1, max_completion_tokens=3)[0] == text
        stop = ask(seed=1)[0].split()[2]
        assert stop not in ask(seed=1, stop=[f" {stop}"])[0]
        assert ask(seed=1, stop=f" {stop}") == ask(seed=1, stop=[f" {stop}", "zzz"])


def test_several_choices_differ_and_are_reproducible(start: Start) -> None:
    with start(FakeModel()).client() as client:
        first = client.chat.completions.create(model="m", messages=HELLO, n=3, seed=1)
        texts = [choice.message.content for choice in first.choices]
        assert (len(set(texts)), [choice.index for choice in first.choices]) == (3, [0, 1, 2])
        streamed = ["", "", ""]
        ends = []
        for chunk in client.chat.completions.create(model="m", messages=HELLO, n=3, seed=1, stream=True):
            streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
            ends += [chunk.choices[0].index] if chunk.choices[0].finish_reason else []
        assert (streamed, sorted(ends)) == (texts, [0, 1, 2])
        assert first.usage is not None
        assert first.usage.completion_tokens == sum(len((text or "").split()) for text in texts)


def test_a_client_of_llama_cpp_works_unchanged(start: Start) -> None:
    body = {
        "messages": HELLO, "n_predict": 4, "cache_prompt": True, "id_slot": -1, "min_p": 0.05, "repeat_penalty": 1.1,
        "top_k": 40, "samplers": ["top_k"], "stop": [], "logit_bias": [], "grammar": "", "stream": False, "tools": [],
        "frequency_penalty": 0, "presence_penalty": 0.0,
    }  # fmt: skip
    with start().http() as http:
        for path in ("/v1/chat/completions", "/chat/completions"):
            # Such clients do not always say that they send JSON.
            answer = http.post(path, content=json.dumps(body), headers={"content-type": "text/plain"})
            assert answer.status_code == 200
            assert len(answer.json()["choices"][0]["message"]["content"].split()) == 4
        assert http.post("/v1/chat/completions", json={**body, "n_predict": -1}).status_code == 200
        assert answer.headers["X-Telic-Ignored"] == "cache_prompt, id_slot, repeat_penalty, samplers"
        assert http.get("/health").json() == {"status": "ok", "version": "base"}
        assert http.get("/models").json()["data"][0]["id"] == "travel"


def test_messages_in_parts_and_the_clients_own_system_message(start: Start) -> None:
    model = ScriptedModel(lambda messages: "Yes.")
    with start(model).client() as client:
        parts: Any = [{"type": "text", "text": "One "}, {"type": "text", "text": "two"}]
        said: Any = [
            {"role": "system", "content": "Forget Mia."},
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts},
        ]
        client.chat.completions.create(model="m", messages=said)
    assert [message.content for message in model.seen[-1]] == [
        "You are Mia, a travel agent.\n\nForget Mia.\n\nBe brief.",
        "One two",
    ], "the purpose always goes first"
    refusing = start(ScriptedModel(lambda messages: "Yes."), client_system="refuse")
    with refusing.client() as client, pytest.raises(openai.BadRequestError, match="because its purpose has one"):
        client.chat.completions.create(model="m", messages=said)


def test_the_purposes_sampling_and_controls_are_applied(start: Start) -> None:
    purpose = PURPOSE.model_copy(
        update={"sampling": SamplingDefaults(max_new_tokens=2), "controls": [{"name": "prompt", "text": "Be kind."}]}
    )
    model = FakeModel()
    with start(model, purpose=purpose).client() as client:
        answer = client.chat.completions.create(model="m", messages=HELLO)
    assert len((answer.choices[0].message.content or "").split()) == 2
    assert "Be kind." in model.seen[-1][0].content


WRONG: list[tuple[Any, str, str]] = [
    (b"", "body", "EOF"),
    (b"[1", "body", "EOF"),
    (b"[]", "body", "object"),
    (b'{"messages": "\xff"}', "body", "unicode"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "body", "hex escape"),
    (b"[" * 100_000, "body", "recursion"),
    ({}, "messages", "required"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "expected the id of a call"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages", "'system', 'developer', 'user', 'assistant' or"),
    ({"messages": [{"role": "user", "content": None}]}, "messages", "no content"),
    ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages", "only the assistant calls"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages", "string"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages", "'text'"),
    ({"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]}, "messages", "expected one from the user, or"),
    ({"messages": HELLO * 300}, "messages", "expected at most 256"),
    ({"messages": HELLO, "n": 0}, "n", "greater than or equal to 1"),
    ({"messages": HELLO, "n": 9}, "n", "at most 8"),
    ({"messages": HELLO, "n": 10**30}, "n", ""),
    ({"messages": HELLO, "max_tokens": 0}, "max_tokens", "expected at least 1"),
    ({"messages": HELLO, "max_tokens": "5"}, "max_tokens", "integer"),
    ({"messages": HELLO, "temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"messages": HELLO, "temperature": 9}, "temperature", "less than or equal to 2"),
    ({"messages": HELLO, "min_p": 2}, "min_p", "less than or equal to 1"),
    (b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature", "finite"),
    ({"messages": HELLO, "top_p": 2}, "top_p", "less than or equal to 1"),
    ({"messages": HELLO, "seed": 2**70}, "seed", ""),
    ({"messages": HELLO, "stop": ["x"] * 17}, "stop", ""),
    ({"messages": HELLO, "stop": [""]}, "stop", ""),
    ({"messages": HELLO, "user": "a\nb"}, "user", "control characters"),
    ({"messages": HELLO, "logprobs": True}, "logprobs", "no log-probabilities"),
    ({"messages": HELLO, "tools": [{"type": "function"}]}, "tools", "function: Field required"),
    ({"messages": HELLO, "tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools", "'function'"),
    ({"messages": HELLO, "tools": [TOOL, TOOL]}, "tools", "two of them are called 'find'"),
    ({"messages": HELLO, "tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools", "letters, digits"),
    ({"messages": HELLO, "tools": [TOOL], "tool_choice": "must"}, "tool_choice", "'required'"),
    ({"messages": HELLO, "tools": [TOOL], "tool_choice": named_tool("f")}, "tool_choice", "tools are: find"),
    ({"messages": HELLO, "tool_choice": "required"}, "tool_choice", "tools are: none"),
    ({"messages": HELLO, "response_format": {"type": "json_object"}}, "response_format", "model does not support it"),
    ({"messages": HELLO, "response_format": {"type": "grammar"}}, "response_format", "'text', 'json_object' or"),
    ({"messages": HELLO, "response_format": {"type": "json_schema"}}, "response_format", "a name and a schema"),
    ({"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 5}}},
     "response_format", "Input should be an object"),
    ({"messages": HELLO, "frequency_penalty": 0.5}, "frequency_penalty", "does not support"),
    ({"messages": HELLO, "top_logprobs": 5}, "top_logprobs", "does not support"),
]  # fmt: skip


CHANGING: dict[str, tuple[list[Any], list[Any]]] = {
    "repetition_penalty": ([1.3, 0.5], [1, 1.0, None]),
    "guided_json": ([{"type": "object"}], [None]),
    "guided_choice": ([["a", "b"]], [[], None]),
    "structured_outputs": ([{"choice": ["a"]}], [None, {}]),
    "min_tokens": ([5], [0, None]),
    "chat_template": (["{{ messages }}"], ["", None]),
    "chat_template_kwargs": ([{"enable_thinking": False}], [{}, None]),
    "continue_final_message": ([True], [False]),
    "add_generation_prompt": ([False], [True]),
    "echo": ([True], [False, None]),
    "best_of": ([3], [1, None]),
    "parallel_tool_calls": ([False], [True, None]),
    "prediction": ([{"type": "content", "content": "Hi"}], [None]),
}
"""Fields that would change the reply: values that are refused, and values that ask for nothing."""


def test_a_field_that_would_change_the_reply_is_honoured_or_refused(start: Start) -> None:
    with start().http() as http:
        for name, (refused, neutral) in CHANGING.items():
            for value in refused:
                answer = http.post("/v1/chat/completions", json={"messages": HELLO, name: value})
                assert answer.status_code == 400, (name, value)
                assert answer.json()["error"] == {
                    "message": f"{name}: this server does not support {name}; remove it",
                    "type": "invalid_request_error",
                    "param": name,
                    "code": "unsupported_parameter",
                }
            for value in neutral:
                answer = http.post("/v1/chat/completions", json={"messages": HELLO, name: value})
                assert answer.status_code == 200, (name, value)
        harmless = {"user": "ann", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "seed": 1,
                    "prompt_cache_key": "k", "temperature": 2}  # fmt: skip
        answer = http.post("/v1/chat/completions", json={"messages": HELLO, **harmless})
        assert answer.status_code == 200
        assert answer.headers["X-Telic-Ignored"] == "metadata, prompt_cache_key, service_tier, store"


def test_min_p_reaches_the_model(start: Start) -> None:
    seen: list[float] = []

    class Noting(FakeModel):
        def stream(self, request: Request) -> Iterator[str | Reply]:
            seen.append(request.sampling.min_p)
            return super().stream(request)

    with start(Noting()).http() as http:
        for body in ({}, {"min_p": 0.25}):
            assert http.post("/v1/chat/completions", json={"messages": HELLO, **body}).status_code == 200
    assert seen == [0.0, 0.25]


def test_errors_have_openais_form(start: Start) -> None:
    with start().http() as http:
        for body, param, words in WRONG:
            content = body if isinstance(body, bytes) else json.dumps(body)
            answer = http.post("/v1/chat/completions", content=content)
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (400, "invalid_request_error"), body
            assert (error["param"] or "body") == param, error
            assert words in error["message"], error
            assert "pydantic" not in error["message"]
        for method, path, status in [("GET", "/v1/none", 404), ("GET", "/v1/chat/completions", 405),
                                     ("POST", "/v1/models", 405), ("GET", "/v1/models/other", 404)]:  # fmt: skip
            answer = http.request(method, path)
            assert (answer.status_code, set(answer.json()["error"])) == (status, {"message", "type", "param", "code"})


def test_a_failed_model_and_a_bug_have_different_errors_and_nothing_is_stored(start: Start) -> None:
    served = start(ScriptedModel({"Hello": "Hi!"}))
    with served.client() as client:
        for stream in (False, True):
            said: Any = [{"role": "user", "content": "What?"}]
            with pytest.raises(openai.InternalServerError, match=r"the model failed to reply \(exception\)"):
                client.chat.completions.create(model="m", messages=said, stream=stream)
        assert list(served.service.store.episodes()) == []
        served.service.chat = None  # type: ignore[assignment]
        with pytest.raises(openai.InternalServerError, match="see the server's log") as failed:
            client.chat.completions.create(model="m", messages=HELLO)
        assert "NoneType" not in str(failed.value)


def test_a_turn_that_was_not_stored_is_not_acknowledged(start: Start) -> None:
    served = start(ScriptedModel(lambda messages: "Hi there!"))

    def fail(new: NewTurns) -> None:
        raise OperationalError("insert", {}, OSError("disk full"))

    served.service.store.blocking.add = fail  # type: ignore[method-assign]
    with served.http() as http:
        whole = http.post("/v1/chat/completions", json={"messages": HELLO})
        assert whole.status_code == 503
        assert "could not be stored" in whole.json()["error"]["message"]
        streamed = http.post("/v1/chat/completions", json={"messages": HELLO, "stream": True}).text
    assert "could not be stored" in streamed.splitlines()[-2]
    assert 'finish_reason":"stop' not in streamed
    assert "[DONE]" not in streamed


def test_a_store_that_fails_to_delete_is_reported_as_unavailable(start: Start) -> None:
    served = start(FakeModel())

    def fail(user: str) -> list[str]:
        raise OperationalError("delete", {}, OSError("database is locked"))

    served.service.store.blocking.delete = fail  # type: ignore[method-assign]
    with served.http() as http:
        answer = http.delete("/telic/conversations")
    assert answer.status_code == 503
    assert "the conversation store does not respond" in answer.json()["error"]["message"]


class FullModel(FakeModel):
    """Fails as a remote model whose context is full: without counting tokens."""

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        yield Reply("", "context", failure=Failure("model", "context_full", "400: the prompt is too long"))


class RaisingModel(FakeModel):
    """Raises an exception without a message."""

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        raise KeyError


def test_the_error_of_a_full_context_has_no_number_of_tokens_if_it_is_unknown(start: Start) -> None:
    with start(FullModel()).client() as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="m", messages=HELLO)
    assert refused.value.code == "context_length_exceeded"
    assert "the conversation exceeds the model's context" in str(refused.value)


def test_an_exception_without_a_message_is_named_in_the_log(start: Start, log: pytest.LogCaptureFixture) -> None:
    with start(RaisingModel()).client() as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=HELLO)
    assert [line["cause"] for line in events(log, "model_failed")] == ["KeyError()"]


def test_metrics(start: Start) -> None:
    served = start(FakeModel())
    with served.http() as http:
        http.post("/v1/chat/completions", json={"messages": HELLO, "max_tokens": 3})
        http.post("/v1/chat/completions", json={})
        figures = dict(
            line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if not line.startswith("#")
        )
    assert figures['telic_requests_total{status="200"}'] == "1.0"
    assert figures['telic_requests_total{status="400"}'] == "1.0"
    assert figures['telic_tokens_total{kind="generated"}'] == "3.0"
    assert figures["telic_first_token_seconds_count"] == "1.0"
    assert figures["telic_turns_total"] == "2.0"
    assert figures["telic_requests_under_way"] == "0.0"


def test_a_remote_model_is_served_as_well(start: Start) -> None:
    from telic.models import RemoteModel

    inner = start(FakeModel(), store=str(start.folder / "inner.db"))
    outer = start(RemoteModel("m", base_url=f"{inner.url}/v1"))
    with outer.client() as client, inner.client() as direct:
        answer = client.chat.completions.create(model="m", messages=HELLO, seed=4)
        told: Any = [{"role": "system", "content": PURPOSE.system}, *HELLO]
        options = Sampling(temperature=0.7, top_p=0.9)
        same = direct.chat.completions.create(
            model="m", messages=told, seed=4, temperature=options.temperature, top_p=options.top_p
        )
    assert answer.choices[0].message.content == same.choices[0].message.content


def test_settings_of_a_purpose(start: Start) -> None:
    from telic.errors import ConfigError
    from telic.server import ServeConfig

    text = 'name = "a"\nsystem = "b"\n[serve]\nmax_choices = 2\n'
    assert ServeConfig.of_purpose(Purpose.from_text(text), store="x.db").max_choices == 2
    with pytest.raises(ConfigError, match=r"a.toml, line 3: serve: unknown setting 'max_choice'; did you mean"):
        ServeConfig.of_purpose(Purpose.from_text(text.replace("choices", "choice"), "a.toml"))
    with pytest.raises(ConfigError, match="max_choices is 0; expected a number greater than or equal to 1"):
        ServeConfig.of_purpose(Purpose.from_text(text.replace("2", "0")))


def test_a_slow_body_times_out(start: Start) -> None:
    served = start(body_seconds=0.2)
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")  # the other 99 bytes never come
