"""Limits and API keys."""

from __future__ import annotations

import hashlib
import stat
import threading
from pathlib import Path
from typing import Any

import openai
import pytest

from telic.errors import ConfigError
from telic.models import FakeModel
from telic.server import Keys, ServeConfig
from telic.server.errors import ApiError
from telic.server.keys import ENVIRONMENT, add_key
from telic.server.limits import Limits
from tests.server.conftest import Served, SlowModel, Start, wait_for

HELLO: Any = [{"role": "user", "content": "Hello"}]


def keys(**held: str) -> Keys:
    return Keys({name: hashlib.sha256(key.encode()).digest() for name, key in held.items()})


def test_a_key_is_made_once_and_only_its_hash_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    path = tmp_path / "keys.txt"
    ann, bob = add_key(path, "ann"), add_key(path, "bob")
    assert len({ann, bob}) == 2
    assert ann not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = Keys.load(path)
    assert (loaded.holder(ann), loaded.holder(bob)) == ("ann", "bob")
    for wrong in ("", "telic-", ann[:-1], ann + "x", ann.upper(), "\udcff"):
        assert loaded.holder(wrong) is None
    with pytest.raises(ConfigError, match="already has a key named 'ann'"):
        add_key(path, "ann")
    with pytest.raises(ConfigError, match="invalid key name 'a/b'"):
        add_key(path, "a/b")
    with pytest.raises(ConfigError, match="cannot write"):
        add_key(tmp_path / "none" / "keys.txt", "ann")


def test_invalid_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    path = tmp_path / "keys.txt"
    with pytest.raises(ConfigError, match="cannot read the key file"):
        Keys.load(path)
    path.write_text("# none yet\n\n")
    with pytest.raises(ConfigError, match=r"contains no keys\. Add one with: telic keys"):
        Keys.load(path)
    path.write_text("# mine\nsk-my-secret-key\n")
    with pytest.raises(ConfigError, match="line 2: expected `name sha256") as refused:
        Keys.load(path)
    assert "secret" not in str(refused.value), "a key that someone wrote down is not printed"
    monkeypatch.setenv(ENVIRONMENT, "short")
    with pytest.raises(ConfigError, match="too short"):
        Keys.load(None)
    monkeypatch.setenv(ENVIRONMENT, "long enough a key")
    assert Keys.load(None).holder("long enough a key") == "default"


def test_a_key_opens_everything_but_health_and_no_other_does(start: Start) -> None:
    served = start(FakeModel(), keys=keys(ann="right-key"))
    paths = [("GET", "/v1/models"), ("GET", "/v1/models/travel"), ("GET", "/metrics"),
             ("POST", "/v1/chat/completions"), ("POST", "/chat/completions"), ("GET", "/models"),
             ("GET", "/telic/conversations"), ("DELETE", "/telic/conversations")]  # fmt: skip
    with served.http() as http:
        for method, path in paths:
            for header in (None, "", "Bearer", "Bearer wrong-key", "Basic right-key", "right-key"):
                headers = {} if header is None else {"Authorization": header}
                answer = http.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key"), (path, header)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            good = http.request(method, path, headers={"Authorization": "bearer right-key"})
            assert good.status_code != 401
        assert http.get("/healthz").status_code == 200
    with served.client("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=HELLO)
    with served.client("right-key") as client:
        assert client.chat.completions.create(model="m", messages=HELLO).choices


def start_requests(served: Served, count: int, key: str = "k") -> list[Any]:
    """Start requests that are active while their streams are open."""
    client = served.client(key)
    streams = [client.chat.completions.create(model="m", messages=HELLO, stream=True) for _ in range(count)]
    return [client, *streams]


def test_requests_beyond_the_limits_get_retry_after(start: Start) -> None:
    served = start(SlowModel(), max_requests=3, max_requests_per_key=2, keys=keys(ann="a" * 9, bob="b" * 9))
    held = [start_requests(served, 2, "a" * 9), start_requests(served, 1, "b" * 9)]
    with served.client("a" * 9) as ann, served.client("b" * 9) as bob:
        for client, words in ((ann, "this key has 2 active requests"), (bob, "the server has 3 active requests")):
            with pytest.raises(openai.RateLimitError, match=words) as refused:
                client.chat.completions.create(model="m", messages=HELLO)
            assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        for client, *streams in held:
            for stream in streams:
                stream.close()
            client.close()
        wait_for(lambda: served.service.limits.active_count == 0)
        served.service.runner.model.words = 1  # type: ignore[attr-defined]
        assert ann.chat.completions.create(model="m", messages=HELLO).choices


def test_the_official_client_retries(start: Start) -> None:
    model = SlowModel(words=20)
    served = start(model, max_requests=1)
    client, stream = start_requests(served, 1)
    done: list[Any] = []

    def ask() -> None:
        with served.client() as patient:
            done.append(patient.with_options(max_retries=5).chat.completions.create(model="m", messages=HELLO))

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in stream:
        pass
    thread.join()
    client.close()
    assert done[0].choices[0].message.content


def test_tokens_per_minute(start: Start) -> None:
    now = [100.0]
    limits = Limits(ServeConfig(tokens_per_minute=60), lambda: now[0])
    with limits.admit("ann"):
        limits.spend("ann", 90)
    with pytest.raises(ApiError, match="60 tokens per minute") as refused, limits.admit("ann"):
        pass
    assert refused.value.headers["Retry-After"] == "30"
    with limits.admit("bob"):
        pass
    now[0] += 30
    with limits.admit("ann"):
        limits.spend("ann", 5)
    served = start(FakeModel(), tokens_per_minute=5)
    with served.client() as client:
        client.chat.completions.create(model="m", messages=HELLO)
        with pytest.raises(openai.RateLimitError, match="5 tokens per minute"):
            client.chat.completions.create(model="m", messages=HELLO)


def test_bodies_that_are_too_long(start: Start) -> None:
    served = start(FakeModel(), max_body_bytes=1000)
    with served.http() as http:
        fits = {"messages": [{"role": "user", "content": "x" * 900}]}
        assert http.post("/v1/chat/completions", json=fits).status_code == 200
        answer = http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x" * 1000}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")

        def pieces() -> Any:
            for _ in range(20):
                yield b" " * 100

        assert http.post("/v1/chat/completions", content=pieces()).status_code == 413
        assert http.get("/healthz").status_code == 200
    assert served.service.limits.active_count == 0
