from __future__ import annotations

import asyncio
import json
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models.base import Model
from telic.models.control import Control, ControlPoint
from telic.models.remote import RemoteModel
from telic.models.request import Reply, Request, Sampling

KEY = "sk-secret-key"


def ask(text: str = "Hello there", system: str | None = None, **options: Any) -> Request:
    dialogue = Dialogue().with_system(system).add("user", text)
    return Request(tuple(dialogue), Sampling(**{"max_new_tokens": 8, **options}))


class Shout(Control):
    name = "shout"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(message.model_copy(update={"content": message.content.upper()}) for message in messages)


class Hold(Control):
    name = "hold"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})


# ---- a small server on a real socket that answers as it is told


Step = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: object, content_type: str = "application/json", **headers: str) -> Step:
    def step(handler: BaseHTTPRequestHandler) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": content_type, **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return step


def completion(content: str | None = "Hi.", finish: str | None = "stop", **more: object) -> dict[str, object]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    return {"id": "1", "object": "chat.completion", "choices": [choice], **more}


def refusal(message: str, **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


def slow(seconds: float, then: Step) -> Step:
    def step(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        then(handler)

    return step


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')


OK = answer(200, completion())


class Server(ThreadingHTTPServer):
    """Takes one step per request; the last one is repeated."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: list[Step] = [OK]
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    def model(self, *steps: Step, **options: Any) -> RemoteModel:
        self.steps = list(steps) or self.steps
        defaults = {"base_url": f"http://127.0.0.1:{self.server_port}/v1", "api_key": KEY}
        return RemoteModel("gpt-nano", **{**defaults, **options})

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that no longer listens is no error here."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        server = self.server
        self.body = body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.bodies.append({**body, "authorization": self.headers["Authorization"]})
            server.times.append(time.perf_counter())
            step = server.steps.pop(0) if len(server.steps) > 1 else server.steps[0]
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            step(self)
        finally:
            with server.lock:
                server.busy -= 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# ---- what is sent, what is read


def test_is_a_model(server: Server) -> None:
    model = server.model()
    assert isinstance(model, Model)
    assert model.name == "gpt-nano"
    assert KEY not in repr(model) + repr(vars(model))
    assert pickle.loads(pickle.dumps(model)).generate([ask()])[0].text == "Hi."
    session = model.session("Be kind.").user("Hello")
    assert session.reply().text == session.dialogue[-1].content == "Hi."


def test_sends_the_sampling_and_only_what_was_asked(server: Server) -> None:
    model = server.model(extra_body={"min_p": 0})
    model.generate([ask("Hi", "Be kind.", temperature=0.5, top_p=0.9, top_k=3, seed=7, stop=("x",), ignore_eos=True)])
    model.generate([ask("Hi")])
    full, plain = server.bodies
    assert full == {
        "model": "gpt-nano",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0,
        "seed": 7,
        "stop": ["x"],
        "ignore_eos": True,
        "authorization": f"Bearer {KEY}",
    }
    assert not {"top_k", "seed", "stop", "ignore_eos", "logprobs"} & plain.keys()


def test_reads_usage_finish_and_logprobs(server: Server) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 5}}
    body = completion("Hi you", "length", usage=usage)
    body["choices"][0]["logprobs"] = {"content": [{"logprob": -0.5}, {"logprob": -1}]}  # type: ignore[index]
    model = server.model(answer(200, body), answer(200, completion(finish=None)))
    full, bare = model.generate([ask(logprobs=True, seed=3)]) + model.generate([ask(logprobs=True)])
    assert full == Reply("Hi you", "length", 9, 5, 8, logprobs=(-0.5, -1.0), seed=3)
    assert bare == Reply("Hi.", "stop")
    seen = model.usage
    assert (seen.requests, seen.prompt_tokens, seen.cached_tokens, seen.new_tokens, seen.errors) == (2, 9, 5, 8, 0)


def test_controls_on_messages_act_and_others_are_refused_before_anything_is_sent(server: Server) -> None:
    model = server.model()
    good, bad, reading = ask("hello"), ask(), ask()
    good.controls, bad.controls, reading.readings = (Shout(),), (Shout(), Hold()), frozenset({"state"})
    with pytest.raises(UnsupportedControlError, match="'hold' acts on attention, but model 'gpt-nano'"):
        model.generate([good, bad])
    with pytest.raises(UnsupportedControlError, match="model 'gpt-nano' does not support the reading state"):
        model.stream(reading)
    assert server.bodies == []
    model.generate([good])
    assert server.bodies[0]["messages"][0]["content"] == "HELLO"


def echo(handler: BaseHTTPRequestHandler) -> None:
    text = str(handler.body["messages"][-1]["content"])  # type: ignore[attr-defined]
    time.sleep(0.01 * (len(text) % 4))
    answer(200, completion(text))(handler)


def test_keeps_order_and_concurrency(server: Server) -> None:
    model = server.model(echo, concurrency=2)
    told: dict[int, str] = {}
    texts = ["abc", "a", "abcd", "ab", "abcde", "abcdef"]
    replies = model.generate([ask(text) for text in texts], lambda index, reply: told.update({index: reply.text}))
    assert [reply.text for reply in replies] == texts
    assert told == dict(enumerate(texts))
    assert server.most_busy == 2
    assert model.generate([]) == []


def test_a_reply_may_lead_to_further_requests(server: Server) -> None:
    def ask_on(index: int, reply: Reply) -> list[Request]:
        return [ask(reply.text + "!")] if len(reply.text) < 4 else []

    replies = server.model(echo).generate([ask("abc"), ask("a")], ask_on)
    assert [reply.text for reply in replies[:2]] == ["abc", "a"]
    assert sorted(reply.text for reply in replies[2:]) == ["a!", "a!!", "a!!!", "abc!"]

    def ask_too_much(index: int, reply: Reply) -> list[Request]:
        return [Request(ask().messages, controls=(Hold(),))]

    with pytest.raises(UnsupportedControlError, match="'hold'"):
        server.model(echo).generate([ask()], ask_too_much)


def test_works_inside_a_running_loop(server: Server) -> None:
    async def notebook() -> list[Reply]:
        return server.model().generate([ask(), ask()])

    assert [reply.text for reply in asyncio.run(notebook())] == ["Hi.", "Hi."]


def test_a_callers_own_error_comes_through(server: Server) -> None:
    def stop(index: int, reply: Reply) -> None:
        raise ZeroDivisionError("mine")

    model = server.model(OK, slow(0.3, OK))
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.generate([ask(), ask()], stop)


# ---- failures


def test_waits_as_long_as_the_server_says(server: Server) -> None:
    model = server.model(answer(429, refusal("slow down"), Retry_After="1"), OK)
    assert model.generate([ask()])[0].text == "Hi."
    assert 0.9 < server.times[1] - server.times[0] < 1.6
    assert model.usage.retries == 1


def test_a_failing_server_is_tried_again_and_then_given_up_on(server: Server) -> None:
    model = server.model(answer(500, refusal("oops")), OK)
    assert model.generate([ask()])[0].text == "Hi."
    model = server.model(answer(503, "<html>Bad gateway</html>", "text/html"), retries=1)
    (reply,) = model.generate([ask()])
    assert (reply.text, reply.finish) == ("", "error")
    assert f"127.0.0.1:{server.server_port}/v1" in str(reply.failure)
    assert "answered 503 (tried 2 times): an HTML page" in str(reply.failure)
    assert (model.usage.requests, model.usage.retries, model.usage.errors) == (1, 1, 1)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        ('{"choices": [', "application/json", "instead of JSON"),
        ("<html>Log in</html>", "text/html", "an HTML page instead of JSON"),
        ("", "application/json", "an empty body"),
        ({"choices": []}, "application/json", "no choices"),
        (refusal("provider is down"), "application/json", "no choices: provider is down"),
        ([1], "application/json", "no choices"),
        ({"choices": ["Hi."]}, "application/json", "no message"),
        ({"choices": {"a": 1}}, "application/json", "no message"),
        (completion(None, "tool_calls"), "application/json", "no text (finish_reason 'tool_calls')"),
    ],
)
def test_malformed_replies(server: Server, body: object, content_type: str, said: str) -> None:
    bad = answer(200, body, content_type)
    (reply,) = server.model(bad, retries=0).generate([ask()])
    assert reply.finish == "error"
    assert "malformed" in str(reply.failure)
    assert said in str(reply.failure)
    assert len(server.bodies) == 1


def test_a_malformed_reply_is_asked_for_again(server: Server) -> None:
    model = server.model(answer(200, completion(None)), OK)
    assert model.generate([ask()])[0].text == "Hi."
    assert model.usage.retries == 1


def test_a_failure_takes_no_other_request_with_it(server: Server) -> None:
    def by_text(handler: BaseHTTPRequestHandler) -> None:
        text = handler.body["messages"][0]["content"]  # type: ignore[attr-defined]
        {"cut": cut_off, "bad": answer(400, refusal("no such thing"))}.get(text, OK)(handler)

    model = server.model(by_text, retries=0)
    replies = model.generate([ask(text) for text in ("a", "cut", "b", "bad", "c", "\ud800", "d")])
    assert [reply.finish for reply in replies] == ["stop", "error", "stop", "error", "stop", "error", "stop"]
    assert "broke off" in str(replies[1].failure)
    assert "answered 400: no such thing" in str(replies[3].failure)
    assert "UnicodeEncodeError" in str(replies[5].failure)
    assert model.usage.errors == 3


def test_a_slow_reply_times_out(server: Server) -> None:
    model = server.model(slow(0.6, OK), OK, timeout=0.2, retries=0)
    late, good = model.generate([ask()]) + model.generate([ask()])
    assert "did not answer within 0.2 s: raise timeout=" in str(late.failure)
    assert good.text == "Hi."


def test_a_wrong_key_is_not_tried_again(server: Server) -> None:
    model = server.model(answer(401, refusal(f"Incorrect API key: {KEY}")))
    (reply,) = model.generate([ask()])
    assert f"set the environment variable TELIC_KEY_127_0_0_1_{server.server_port}" in str(reply.failure)
    assert KEY not in str(reply.failure)
    assert len(server.bodies) == 1
    with pytest.raises(ModelError, match=r"'gpt-nano' failed to reply: .*answered 401"):
        model.session().user("Hi").reply()


def test_an_unknown_model_is_named(server: Server) -> None:
    (reply,) = server.model(answer(404, refusal("The model does not exist"))).generate([ask()])
    assert "(model 'gpt-nano') answered 404: The model does not exist; check the model's name" in str(reply.failure)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"message": "too long", "code": "context_length_exceeded"},
        {"message": "too long", "type": "exceed_context_size_error", "code": 400},
        {"message": "This model's maximum context length is 512 tokens. However, you requested 600 tokens."},
    ],
)
def test_a_full_context_is_no_error(server: Server, error: dict[str, object]) -> None:
    (reply,) = server.model(answer(400, {"error": error})).generate([ask()])
    assert reply.finish == "context"
    assert reply.failure is not None
    assert reply.failure.kind == "context_full"


def test_a_content_filter_is_an_error_that_keeps_the_text(server: Server) -> None:
    (reply,) = server.model(answer(200, completion("I", "content_filter"))).generate([ask()])
    assert (reply.text, reply.finish) == ("I", "error")
    assert "content filter" in str(reply.failure)


def chunks(*deltas: str, finish: str | None = "stop") -> str:
    events = [{"choices": [{"index": 0, "delta": {"content": delta}}]} for delta in deltas]
    if finish:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    events.append({"choices": [], "usage": usage})  # type: ignore[dict-item]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def in_event_loop(model: RemoteModel, request: Request) -> list[str | Reply]:
    """Stream a reply as a server does."""

    async def collect() -> list[str | Reply]:
        streams = model.open_streams()
        try:
            return [piece async for piece in streams.stream(request)]
        finally:
            await streams.aclose()

    return asyncio.run(collect())


def in_thread(model: RemoteModel, request: Request) -> list[str | Reply]:
    return list(model.stream(request))


either_way = pytest.mark.parametrize("stream", [in_thread, in_event_loop])
Stream = Callable[[RemoteModel, Request], "list[str | Reply]"]


@either_way
def test_streams(server: Server, stream: Stream) -> None:
    kind = "text/event-stream"
    model = server.model(answer(500, ""), answer(200, chunks("Hi", " you"), kind))
    assert stream(model, ask()) == ["Hi", " you", Reply("Hi you", "stop", prompt_tokens=4, new_tokens=2)]
    assert (model.usage.retries, model.usage.new_tokens) == (1, 2)


@either_way
def test_a_choice_comes_whole(server: Server, stream: Stream) -> None:
    request = replace(ask("Sea or hills?"), choices=("the sea", "the hills"))
    pieces = stream(server.model(answer(200, completion("The hills, please."))), request)
    assert pieces[0] == "the hills"
    assert isinstance(pieces[1], Reply)
    assert (len(pieces), pieces[1].text, pieces[1].finish) == (2, "the hills", "stop")


@either_way
@pytest.mark.parametrize(
    ("step", "pieces", "said"),
    [
        (answer(200, chunks("Hi", finish=None), "text/event-stream"), ["Hi"], "ended before the reply did"),
        (answer(200, 'data: {"choices"\n\n', "text/event-stream"), [], "JSONDecodeError"),
        (answer(200, f"data: {json.dumps(refusal('oops'))}\n\n", "text/event-stream"), [], "oops"),
        (answer(200, "<html></html>", "text/html"), [], "ended before the reply did"),
        (answer(401, refusal("no")), [], "TELIC_KEY_127_0_0_1"),
        (cut_off, [], "broke off"),
    ],
)
def test_a_broken_stream_ends_in_an_error_reply(
    server: Server, step: Step, pieces: list[str], said: str, stream: Stream
) -> None:
    *before, reply = stream(server.model(step, retries=0), ask())
    assert before == pieces
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish) == ("".join(pieces), "error")
    assert said in str(reply.failure)


def test_arguments_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="set the environment variable OPENAI_API_KEY"):
        RemoteModel("gpt-5")
    with pytest.raises(ConfigError, match="base_url is 'localhost:8000'"):
        RemoteModel("x", base_url="localhost:8000")
    with pytest.raises(ConfigError, match="concurrency is 0; expected 1 or more"):
        RemoteModel("x", base_url="http://localhost", concurrency=0)
    with pytest.raises(ConfigError, match="retries is -1; expected 0 or more"):
        RemoteModel("x", base_url="http://localhost", retries=-1)
    with pytest.raises(ConfigError, match=r"timeout is 0\.0; expected more than 0 seconds"):
        RemoteModel("x", base_url="http://localhost", timeout=0.0)
    assert "127.0.0.1" in repr(RemoteModel("x", base_url="http://127.0.0.1:1/v1"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert KEY not in repr(vars(RemoteModel("gpt-5")))


INTERRUPTED = """
    import asyncio, signal, sys
    from telic.dialogue import Message
    from telic.models.request import Request
    from telic.models.remote import RemoteModel

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    model = RemoteModel("x", base_url=sys.argv[1], timeout=30)
    requests = [Request((Message(role="user", content="Hi"),))] * 4

    async def notebook():
        return model.generate(requests)

    print("asking", flush=True)
    try:
        asyncio.run(notebook()) if sys.argv[2] == "notebook" else model.generate(requests)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("where", ["script", "notebook"])
def test_ctrl_c_stops_promptly(server: Server, where: str) -> None:
    done = threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        done.wait(30)

    server.steps = [hold]
    url = f"http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), url, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            while len(server.bodies) < 4 and process.poll() is None:
                time.sleep(0.02)
            start = time.perf_counter()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
            took = time.perf_counter() - start
        finally:
            process.kill()
            done.set()
    assert output.split() == ["asking", "interrupted"]
    assert took < 5
