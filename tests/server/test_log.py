"""What the log and `/healthz` say, and what clients are told of a failure."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from sqlalchemy.exc import OperationalError

from telic.models import FakeModel, RemoteModel, Reply, Request, ScriptedModel
from telic.server.app import CONVERSATION
from telic.server.health import Health
from telic.server.keys import Keys
from telic.server.log import log_event
from tests.server.conftest import SlowModel, Start, events, wait_for
from tests.server.test_limits_and_keys import keys

SECRET = "My password is swordfish."  # the fixture `log` checks that it is not logged
ASKED: Any = [{"role": "user", "content": SECRET}]


def test_every_request_is_a_line_of_the_log(start: Start, log: pytest.LogCaptureFixture) -> None:
    key = "the key of ann, which is secret"
    served = start(ScriptedModel(lambda messages: "I will not tell swordfish."), keys=keys(ann=key))
    with served.http(headers={"Authorization": f"Bearer {key}"}) as http:
        body = {"messages": ASKED, "user": "her child"}
        chat = http.post("/v1/chat/completions?secret=swordfish", json=body)
        streamed = http.post("/v1/chat/completions", json={**body, "stream": True})
        unknown = http.get("/v1/models", headers={"Authorization": "Bearer wrong"})
        healthy = http.get("/healthz")
    wait_for(lambda: len(events(log, "request")) == 4)
    lines = {line["id"]: line for line in events(log, "request")}
    first, second, refused, health = (
        lines[answer.headers["X-Request-ID"]] for answer in (chat, streamed, unknown, healthy)
    )
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (first["key"], first["conversation"]) == ("ann", chat.headers[CONVERSATION])
    assert first["tokens"] == chat.json()["usage"]["total_tokens"] == second["tokens"]
    assert first["ms"] > 0
    assert (refused["status"], "key" in refused) == (401, False)
    assert [record.levelno for record in log.records if "path=/healthz" in record.getMessage()] == [logging.DEBUG]
    assert health["status"] == 200
    assert key not in log.text
    line = next(record.getMessage() for record in log.records if first["id"] in record.getMessage())
    assert re.fullmatch(
        r"request method=POST path=/v1/chat/completions status=200 ms=[\d.]+ key=ann tokens=\d+ "
        r"conversation=\w+ id=\w+",
        line,
    )


def test_a_client_that_leaves_is_logged_as_such(start: Start, log: pytest.LogCaptureFixture) -> None:
    served = start(SlowModel())
    with served.client() as client:
        stream = client.chat.completions.create(model="m", messages=ASKED, stream=True)
        next(iter(stream))
        stream.close()
    wait_for(lambda: [line["status"] for line in events(log, "request")] == [499])


def test_a_line_stays_one_line_whatever_a_client_sends(log: pytest.LogCaptureFixture) -> None:
    log_event(logging.INFO, "request", path="/a b\nrequest key=ann", key="x")
    assert log.records[-1].getMessage() == 'request path="/a b\\nrequest key=ann" key=x'


def test_a_failure_of_an_endpoint_is_logged_and_the_client_is_not_told_its_address(
    start: Start, log: pytest.LogCaptureFixture
) -> None:
    served = start(RemoteModel("m", base_url="http://127.0.0.1:9/v1", api_key="hunter22", retries=0))
    with served.client() as client:
        for number, stream in enumerate((False, True)):
            with pytest.raises(openai.InternalServerError) as failed:
                client.chat.completions.create(model="m", messages=ASKED, stream=stream)
            assert failed.value.status_code == 502
            assert "127.0.0.1" not in str(failed.value)
            assert "hunter22" not in str(failed.value)
            logged = events(log, "model_failed")[number]
            assert (
                f"the model failed to reply (unreachable); the server's log has the cause at id={logged['id']}"
                in str(failed.value)
            )
            assert failed.value.request_id == logged["id"]
            assert "http://127.0.0.1:9/v1" in logged["cause"]
    assert "hunter22" not in log.text
    assert "hunter22" not in repr(served.service.runner.model)


class BreakingModel(FakeModel):
    """Fails after its first word."""

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        yield "One"
        raise RuntimeError("http://user:hunter22@10.0.0.1 broke")


def test_a_failure_in_the_middle_of_a_stream_is_logged_too(start: Start, log: pytest.LogCaptureFixture) -> None:
    with start(BreakingModel()).http() as http:
        text = http.post("/v1/chat/completions", json={"messages": ASKED, "stream": True}).text
    error = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]
    [logged] = events(log, "model_failed")
    assert logged["id"] in error["message"]
    assert "10.0.0.1" not in error["message"]


def test_a_bug_is_named_in_the_log(start: Start, log: pytest.LogCaptureFixture) -> None:
    served = start()
    served.service.chat = None  # type: ignore[assignment]
    with served.http() as http:
        answer = http.post("/v1/chat/completions", json={"messages": ASKED})
    [line] = events(log, "request")
    assert (answer.status_code, line["status"]) == (500, 500)
    assert line["id"] in answer.json()["error"]["message"]
    assert answer.headers["X-Request-ID"] == line["id"]


def test_store_failures_are_logged_and_turn_health_red_until_it_can_be_written_again(
    start: Start, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(ScriptedModel(lambda messages: "Hi there!"))
    store, works = served.service.store.blocking, [False]
    check, add = store.check, store.add

    def fail(*_: object, **options: object) -> None:
        if not works[0]:
            raise OperationalError("INSERT", {"text": SECRET}, sqlite3.OperationalError("database or disk is full"))
        check(write=True) if options else add(*_)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "add", fail)
    monkeypatch.setattr(store, "check", lambda write: fail(write=write) if write else check(write=False))
    monkeypatch.setattr("telic.server.health.CACHE_SECONDS", 0.0)
    with served.http() as http:
        assert http.get("/healthz").json() == {"status": "ok", "version": "base"}
        assert http.post("/v1/chat/completions", json={"messages": ASKED}).status_code == 503
        [logged] = events(log, "store_failed")
        assert logged["cause"] == "OperationalError: database or disk is full"
        health = http.get("/healthz")
        assert (health.status_code, health.json()) == (
            503,
            {"status": "failed", "failing": ["store"], "version": "base"},
        )
        works[0] = True
        assert http.get("/healthz").json() == {"status": "ok", "version": "base"}
        assert http.post("/v1/chat/completions", json={"messages": ASKED}).status_code == 200
        served.service.runner._worker = type("Dead", (), {"alive": False, "close": lambda self: None})()
        assert http.get("/healthz").json() == {"status": "failed", "failing": ["engine"], "version": "base"}


def test_errors_of_the_database_never_quote_what_was_said(start: Start) -> None:
    served = start()
    with served.service.store.blocking.engine.connect() as connection, pytest.raises(OperationalError) as failed:
        connection.exec_driver_sql("SELECT missing FROM turns WHERE text = ?", (SECRET,))
    assert SECRET not in str(failed.value)


def test_health_looks_at_the_store_once_a_second_and_does_not_wait_for_it_forever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import asyncio

    monkeypatch.setattr("telic.server.health.CHECK_SECONDS", 0.01)
    now, checks = [0.0], [0]

    async def run() -> None:
        answers = asyncio.Event()

        async def check() -> None:
            checks[0] += 1
            await answers.wait()

        health = Health(lambda: True, check, lambda: now[0])
        assert await health.failing() == ["store"], "it does not answer in time"
        now[0] = 5.0
        assert await health.failing() == ["store"]
        assert checks == [1], "the first check still goes on"
        answers.set()
        now[0] = 10.0
        assert await health.failing() == []
        now[0] = 10.9
        assert await health.failing() == []
        assert checks == [1]
        now[0] = 11.0
        assert await health.failing() == []
        assert checks == [2]

    asyncio.run(run())


def test_a_server_without_keys_logs_its_only_user(start: Start, log: pytest.LogCaptureFixture) -> None:
    with start(keys=Keys()).http() as http:
        http.get("/v1/models")
    assert [line["key"] for line in events(log, "request")] == ["local"]
