"""Every request is answered, once, also when the server stops; and every key pays for what it has the model do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models import FakeModel, Model, Reply, Request, ScriptedModel
from telic.models.scripted import TOKEN
from telic.purpose import Probe
from telic.server.blocking_model import BlockingModel
from telic.server.config import ServeConfig
from telic.server.conversation import DashboardConversation
from telic.server.runner import RequestRunner
from telic.server.service import Service
from tests.server.conftest import PURPOSE, events, wait_for
from tests.server.test_conversation import heard, with_service

SECONDS = 60.0
"""How long a test waits for what would never come if a request were forgotten."""


class Threaded(FakeModel):
    """Says one word, then nothing until it is told to; its stream ends without a reply."""

    concurrency = 1

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go_on = threading.Event(), threading.Event()

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        yield "Well"
        self.began.set()
        assert self.go_on.wait(SECONDS)


class InLoop(Threaded):
    """The same for the event loop."""

    def open_streams(self) -> InLoop:
        return self

    async def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:  # type: ignore[override]
        yield "Well"
        self.began.set()
        while not self.go_on.is_set():
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        pass


def ask(text: str = "Hello") -> Request:
    return Request((Message(role="user", content=text),))


async def in_runner(model: Model, use: Callable[[RequestRunner], Any]) -> Any:
    runner = RequestRunner(model, ServeConfig.of())
    runner.start()
    try:
        return await use(runner)
    finally:
        await runner.close(SECONDS)


@pytest.mark.parametrize("make", [Threaded, InLoop])
def test_a_stream_that_ends_without_a_reply_fails_its_request(make: type[Threaded]) -> None:
    model = make()
    model.go_on.set()
    replies = asyncio.run(in_runner(model, lambda runner: asyncio.wait_for(runner.generate([ask(), ask()]), SECONDS)))
    assert [str(reply.failure) for reply in replies] == ["model: the model's stream ended without a reply"] * 2


@pytest.mark.parametrize("make", [Threaded, InLoop])
def test_requests_are_answered_when_the_server_stops(make: type[Threaded]) -> None:
    model = make()

    async def stop(runner: RequestRunner) -> list[Reply]:
        answering = asyncio.create_task(runner.generate([ask(), ask()]))  # one is being answered, the other waits
        await asyncio.to_thread(model.began.wait, SECONDS)
        closing = asyncio.create_task(runner.close(SECONDS))
        try:
            return await asyncio.wait_for(answering, SECONDS)  # although the model is silent
        finally:
            model.go_on.set()
            await closing

    replies = asyncio.run(in_runner(model, stop))
    assert [str(reply.failure) for reply in replies] == ["model: the server is stopping"] * 2


@pytest.mark.parametrize("make", [Threaded, InLoop])
def test_nothing_follows_a_reply(make: type[Threaded]) -> None:
    model = make()
    heard_events: list[Any] = []

    async def stop(runner: RequestRunner) -> None:
        runner.submit([ask()], lambda _, event: heard_events.append(event))
        await asyncio.to_thread(model.began.wait, SECONDS)
        closing = asyncio.create_task(runner.close(SECONDS))
        while not any(isinstance(event, Reply) for event in heard_events):
            await asyncio.sleep(0)
        model.go_on.set()
        await closing

    asyncio.run(asyncio.wait_for(in_runner(model, stop), SECONDS))
    assert [type(event).__name__ for event in heard_events] == ["ReplyDelta", "Reply"]


def test_a_model_that_fails_to_close_does_not_keep_the_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("the connection is gone")

    closed: list[float] = []

    async def use(service: Service) -> None:
        monkeypatch.setattr(service.runner._worker, "close", fail)
        close = service.store.close

        def note(seconds: float) -> None:
            closed.append(seconds)
            close(seconds)

        monkeypatch.setattr(service.store, "close", note)

    with_service(tmp_path, use)
    assert len(closed) == 1
    [failed] = events(log, "close_failed")
    assert "the connection is gone" in failed["cause"]


def test_the_thread_of_the_judges_ends_with_the_service(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    judging: list[threading.Thread] = []

    async def use(_service: Service) -> None:
        judging.extend(one for one in set(threading.enumerate()) - before if one.name.startswith("telic-judge"))

    with_service(tmp_path, use)
    [thread] = judging
    wait_for(lambda: not thread.is_alive())


def test_a_key_pays_for_what_a_judge_asks_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(messages: tuple[Message, ...]) -> str:
        return "Score: 8" if "Grade" in messages[-1].content else "My name is Mia."

    model = ScriptedModel(reply)
    model.name = "smollm2"
    judge = {"model": "smollm2", "rubric": "It tells a name."}
    purpose = PURPOSE.model_copy(update={"probes": [Probe(ask="Who?", judge=judge, name="name")]})
    spent: list[int] = []

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello"))
        monkeypatch.setattr(service.limits, "spend", lambda user, tokens: spent.append(tokens) if user == "ann" else 0)
        model.seen.clear()
        await this.ask_probes(1)
        assert {answer.score for answer in this.turns[1].probe_branches[0].answers} == {0.8}

    with_service(tmp_path, use, model, purpose)
    assert len(model.seen) == 8, "four answers, each with its verdict"
    texts = [text for seen in model.seen for text in (*(message.content for message in seen), reply(seen))]
    assert sum(spent) == sum(len(TOKEN.findall(text)) for text in texts)


def test_a_key_pays_for_the_reading_of_beliefs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from tests.server.dashboard.server import tiny_with_readers

    spent: list[int] = []

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello there"))
        monkeypatch.setattr(service.limits, "spend", lambda user, tokens: spent.append(tokens) if user == "ann" else 0)
        await this.read_beliefs(1)

    with_service(tmp_path, use, tiny_with_readers(tmp_path / "mine"), readers=str(tmp_path / "mine"), max_new_tokens=8)
    assert sum(spent) > 0


def test_the_next_message_of_a_user_has_a_prompt_of_its_own() -> None:
    pytest.importorskip("torch")
    from tests.models import tiny

    told = replace(tiny.ask("Hi", max_new_tokens=4, ignore_eos=True), client="")
    requests = [told, replace(told, speaker="user")]
    alone = [tiny.local("llama").generate([request])[0] for request in requests]
    assert alone[0].prompt_tokens != alone[1].prompt_tokens
    replies = asyncio.run(in_runner(tiny.local("llama"), lambda runner: runner.generate(requests)))
    assert [reply.token_ids for reply in replies] == [reply.token_ids for reply in alone]
    assert [reply.prompt_tokens for reply in replies] == [reply.prompt_tokens for reply in alone]


def test_choices_are_refused_where_a_served_model_would_ignore_them() -> None:
    pytest.importorskip("torch")
    from tests.models import tiny

    chosen = replace(tiny.ask("Hi"), choices=("yes", "no"))

    async def use(runner: RequestRunner) -> Any:
        return await asyncio.to_thread(BlockingModel(runner, "ann", lambda _: None).generate, [chosen])

    with pytest.raises(ModelError, match="cannot choose among given replies"):
        asyncio.run(in_runner(tiny.local("llama"), use))
    [reply] = asyncio.run(in_runner(ScriptedModel("I say yes"), use))
    assert reply.text == "yes"
