"""Nothing that one client does stops the streams of another, and nobody waits for a thread that has died."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("fastapi")

from telic.dialogue import Message
from telic.models import FakeModel, LocalModel, Reply, Request, Sampling
from telic.rendering import Rendering
from telic.server.chat_request import ChatMessage, ChatRequest
from telic.server.conversation import DashboardConversation
from telic.server.errors import ApiError
from telic.server.exchange import Exchange
from telic.server.local_worker import LocalWorker
from telic.server.service import Service
from telic.server.submission import ReplyDelta, ReplyEvent
from telic.server.thread_worker import ThreadWorker
from tests.models import tiny
from tests.server.conftest import Start, wait_for
from tests.server.dashboard.server import tiny_with_readers
from tests.server.test_conversation import heard, with_service

SECONDS = 60.0
"""How long a test waits for something that would never come if another client could stop it."""


@pytest.fixture
def model() -> LocalModel:
    return tiny.local("llama")


def ask(text: str = "Hello", client: str = "", **options: Any) -> Request:
    sampling = Sampling(**{"max_new_tokens": 6, "ignore_eos": True, "seed": 0, **options})
    return Request((Message(role="user", content=text),), sampling, client=client)


async def replies_of(worker: LocalWorker | ThreadWorker, *requests: Request) -> list[Reply]:
    """Submit requests together, as the choices of one reply, and wait for all of them."""
    replies: list[asyncio.Future[Reply]] = [asyncio.get_running_loop().create_future() for _ in requests]

    def on_event(index: int, event: ReplyEvent) -> None:
        if isinstance(event, Reply):
            replies[index].set_result(event)

    worker.submit(requests, on_event)
    return [await asyncio.wait_for(reply, SECONDS) for reply in replies]


def with_worker(model: LocalModel, use: Callable[[LocalWorker], Awaitable[None]]) -> None:
    async def run() -> None:
        worker = LocalWorker(model)
        try:
            await use(worker)
        finally:
            await asyncio.to_thread(worker.close)

    asyncio.run(run())


def test_a_stream_goes_on_while_a_long_prompt_is_rendered(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    render, rendering, go_on = model.template.render, threading.Event(), threading.Event()

    def slow(messages: Sequence[Message], **options: Any) -> Rendering:
        if "long" in messages[-1].content:
            rendering.set()
            assert go_on.wait(2 * SECONDS)
        return render(messages, **options)

    monkeypatch.setattr(model.template, "render", slow)

    async def use(worker: LocalWorker) -> None:
        counted = asyncio.Queue[ReplyEvent]()
        [endless] = worker.submit([ask(max_new_tokens=900, client="chat")], lambda _, event: counted.put_nowait(event))
        await counted.get()
        long = asyncio.create_task(replies_of(worker, ask("a long text", "other", max_new_tokens=1)))
        try:
            assert await asyncio.to_thread(rendering.wait, SECONDS)
            while not counted.empty():
                counted.get_nowait()
            for _ in range(5):
                assert isinstance(await asyncio.wait_for(counted.get(), SECONDS), ReplyDelta)
        finally:
            go_on.set()
        [reply] = await long
        assert reply.new_tokens == 1
        worker.cancel(endless)

    with_worker(model, use)


def test_the_prompt_of_an_exchange_is_rendered_once(
    start: Start, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(model)
    rendered: list[str] = []
    render = model.template.render

    def count(messages: Sequence[Message], **options: Any) -> Rendering:
        rendered.append(threading.current_thread().name)
        return render(messages, **options)

    monkeypatch.setattr(model.template, "render", count)
    body = {"messages": [{"role": "user", "content": "Hello"}], "n": 8, "max_tokens": 4}
    with served.http() as http:
        choices = http.post("/v1/chat/completions", json=body).json()["choices"]
    assert len(choices) == 8
    assert rendered == ["telic-prompts"]


def test_huge_prompts_are_refused_before_they_are_tokenized(
    start: Start, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(model)
    monkeypatch.setattr(model.template, "render", lambda *_, **__: pytest.fail("it was tokenized"))
    body = {"messages": [{"role": "user", "content": "Where to? " * 100_000}], "n": 8}
    with served.http() as http:
        answer = http.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "the conversation exceeds the model's context" in answer.json()["error"]["message"]


def test_keys_take_turns_for_rendering_and_for_the_batch(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model.engine.max_batch = 1
    render, first, go_on = model.template.render, threading.Event(), threading.Event()
    rendered: list[str] = []

    def slow(messages: Sequence[Message], **options: Any) -> Rendering:
        rendered.append(messages[-1].content)
        first.set()
        assert go_on.wait(2 * SECONDS)
        return render(messages, **options)

    monkeypatch.setattr(model.template, "render", slow)
    done: list[str] = []

    async def use(worker: LocalWorker) -> None:
        async def send(text: str, client: str) -> None:
            await replies_of(worker, ask(text, client))
            done.append(text)

        sent = [asyncio.create_task(send(f"a{number}", "a")) for number in range(4)]
        await asyncio.to_thread(first.wait, SECONDS)
        sent.append(asyncio.create_task(send("b0", "b")))
        await asyncio.sleep(0)  # it is submitted
        go_on.set()
        await asyncio.gather(*sent)

    with_worker(model, use)
    assert rendered == ["a0", "a1", "b0", "a2", "a3"]
    assert done.index("b0") <= 2


def test_keys_take_turns_for_the_threads_of_a_model_elsewhere() -> None:
    class One(FakeModel):
        concurrency = 1

    answered: list[str] = []

    async def run() -> None:
        worker = ThreadWorker(One())
        try:

            async def send(client: str) -> None:
                await replies_of(worker, ask(client, client))
                answered.append(client)

            await asyncio.gather(*map(send, "aaaab"))
        finally:
            worker.close()

    asyncio.run(run())
    assert answered.index("b") <= 2


async def say(service: Service, user: str, **options: Any) -> Exchange:
    """Begin an exchange whose reply does not end soon."""
    message = ChatMessage(role="user", content="Hello")
    body = ChatRequest(messages=[message], ignore_eos=True, max_tokens=900, **options)
    exchange = await service.chat.begin(user, body)
    await exchange.wait_for_first_event()
    return exchange


@pytest.mark.parametrize("asked", ["beliefs", "evidence"])
def test_streams_go_on_while_beliefs_wait_for_a_place_in_the_batch(tmp_path: Path, asked: str) -> None:
    model = tiny_with_readers(tmp_path / "mine")

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello there"))
        exchange = await say(service, "bob")  # the batch is full now
        reading: asyncio.Task[Any]
        if asked == "beliefs":
            reading = asyncio.create_task(this.read_beliefs(1))
        else:
            reading = asyncio.create_task(this.find_evidence(1, "user_age"))
        while not model.engine.queue:  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        [replying] = model.engine.active  # type: ignore[attr-defined]
        enough = len(replying.generated) + 20
        received = 0
        async for _, event in exchange.events():
            received += len(event.token_ids)
            if received >= enough:
                break
        assert received < 900
        assert not reading.done(), "it waits for its turn"
        exchange.close()
        found = await asyncio.wait_for(reading, SECONDS)
        assert found or this.turns[1].readings["beliefs"]["user_age"]["probabilities"]

    with_service(tmp_path, use, model, readers=str(tmp_path / "mine"), max_batch=1, max_new_tokens=900)


def test_the_words_of_another_user_are_not_told_by_cached_tokens(start: Start, model: LocalModel) -> None:
    served = start(model)
    body = {"messages": [{"role": "user", "content": "My secret is a long one. " * 8}], "max_tokens": 300}

    def cached(user: str) -> int:
        with served.http() as http:
            usage = http.post("/v1/chat/completions", json={**body, "user": user, "ignore_eos": True}).json()["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    ann = threading.Thread(target=cached, args=("ann",))
    ann.start()
    wait_for(lambda: any(state.generated for state in list(model.engine.active)))  # ann's prompt is in the batch
    seen = cached("bob")
    ann.join()
    system = model.render([Message(role="system", content="You are Mia, a travel agent.")], reply=False)
    assert seen <= len(system.token_ids) + 4, "the purpose's system prompt only"


def test_a_dead_engine_answers_everybody_and_turns_healthz_red(
    start: Start, model: LocalModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = start(model, max_batch=1)
    deaths: list[Any] = []
    step = model.step
    began = threading.Event()

    def die(state: Any = None) -> None:
        if deaths:
            raise SystemExit
        step(state)
        began.set()

    monkeypatch.setattr(model, "step", die)
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 900, "ignore_eos": True}
    answers: list[Any] = []

    def send() -> None:
        with served.http() as http:
            answers.append(http.post("/v1/chat/completions", json=body))

    threads = [threading.Thread(target=send) for _ in range(3)]  # one is answered, the others wait for a place
    for thread in threads:
        thread.start()
    assert began.wait(SECONDS)
    deaths.append(None)
    for thread in threads:
        thread.join(SECONDS)
    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.json()["error"]["code"] for answer in answers} == {"model_stopped"}
    assert "model_died" in caplog.text
    assert "SystemExit" in caplog.text
    with served.http() as http:
        assert http.get("/healthz").status_code == 503
        later = http.post("/v1/chat/completions", json=body)
    assert (later.status_code, later.json()["error"]["code"]) == (503, "model_stopped")
    assert "restarted" in later.json()["error"]["message"]


def test_whatever_ends_a_thread_of_the_model_fails_all_requests(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError("a bug")

    async def use(worker: LocalWorker) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(model, "submit", fail)
            replies = await replies_of(worker, ask(), ask(seed=1))
        replies += await replies_of(worker, ask())
        for reply in replies:
            assert reply.failure is not None
            assert reply.failure.kind == "interrupted"
            assert "a bug" not in reply.failure.detail
        assert not worker.alive

    with_worker(model, use)


def test_a_bug_while_a_prompt_is_rendered_fails_that_request_only(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise TypeError("a bug")

    async def use(worker: LocalWorker) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(model, "render_prompts", fail)
            patched.setattr(worker._prompts, "_render", fail)
            [failed] = await replies_of(worker, ask())
        [good] = await replies_of(worker, ask())
        assert (str(failed.failure), good.failure) == ("model: a bug", None)
        assert worker.alive

    with_worker(model, use)


def test_requests_that_wait_when_the_server_stops_are_answered(model: LocalModel) -> None:
    async def run() -> None:
        worker = LocalWorker(model)
        waiting = asyncio.create_task(replies_of(worker, ask(max_new_tokens=900)))
        await asyncio.sleep(0)
        await asyncio.to_thread(worker.close)
        [reply] = await waiting
        assert reply.failure is not None
        assert (reply.failure.kind, reply.failure.detail) == ("interrupted", "the server is stopping")
        [later] = await replies_of(worker, ask())
        assert later.failure == reply.failure

    asyncio.run(run())


def test_a_service_that_was_closed_refuses_at_once(tmp_path: Path) -> None:
    closed: list[Service] = []

    async def use(service: Service) -> None:
        closed.append(service)

    with_service(tmp_path, use)
    body = ChatRequest(messages=[ChatMessage(role="user", content="Hello")])
    with pytest.raises(ApiError) as refused:
        asyncio.run(closed[0].chat.begin("ann", body))
    assert refused.value.status == 503


def test_choices_differ_in_their_seeds_only(model: LocalModel) -> None:
    async def use(worker: LocalWorker) -> None:
        choices = [ask(temperature=1.0, seed=seed) for seed in range(3)]
        assert [reply.text for reply in await replies_of(worker, *choices)] == [
            reply.text for reply in tiny.local("llama").generate([replace(choice) for choice in choices])
        ]

    with_worker(model, use)
