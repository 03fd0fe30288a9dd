"""Attempts of hostile clients, over a real socket: each gets a response in OpenAI's form, and none succeeds.

TELIC_FUZZ sets the number of attempts per test; `pytest -s` shows how many there were, and how they were answered.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telic.models import ScriptedModel
from telic.server import Keys, ServeConfig
from telic.server.middleware import LOCAL_HOSTS
from tests.server.conftest import Served, serving

ATTEMPTS = int(os.environ.get("TELIC_FUZZ", "60"))
many = settings(max_examples=ATTEMPTS, deadline=None, suppress_health_check=list(HealthCheck))

CHAT = "/v1/chat/completions"
SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</textarea>{{7*7}}${7*7}", "javascript:alert(1)",
    "'; DROP TABLE turns; --", "\0", "\u202e", "\x1b[31m", "%s%n", "data: [DONE]\n\n", "\r\nX-Evil: 1",
)  # fmt: skip
PARTS = (
    "..",
    ".",
    "",
    "%2e%2e",
    "etc",
    "passwd",
    "v1",
    "telic.db",
    "metrics",
    "\0",
    "~",
    "%00",
    "static",
    "docs",
    "\\",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that echoes messages, with low limits."""
    echo = ScriptedModel(lambda messages: messages[-1].content or "nothing")
    config = ServeConfig(store=str(tmp_path_factory.mktemp("security") / "telic.db"), max_body_bytes=20_000)
    with serving(echo, config, hosts=LOCAL_HOSTS) as running:
        yield running


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with served.http() as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def tried() -> Iterator[Counter[str]]:
    """Number of attempts by kind and status."""
    yield TRIED
    print(f"\n{sum(TRIED.values())} attempts: {dict(sorted(TRIED.items()))}")


TRIED: Counter[str] = Counter()


def in_form(kind: str, answer: httpx.Response, *statuses: int) -> None:
    """Check that a response has OpenAI's form, and that no browser would take it for a page."""
    TRIED[f"{kind}: {answer.status_code}"] += 1
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"].split(";")[0] in ("application/json", "text/event-stream")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-evil" not in answer.headers
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert "Traceback" not in error["message"]
        assert "/site-packages/" not in error["message"]


words = st.text(max_size=40) | st.sampled_from(SCRIPTS)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4))
VALID: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
FIELDS = ["messages", "model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature",
          "top_p", "top_k", "seed", "stop", "logprobs", "user", "tools", "response_format", "logit_bias",
          "conversation", "n_predict", "modalities", "grammar", "x\r\ny"]  # fmt: skip


@many
@given(body=st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()))
def test_any_body(http: httpx.Client, body: bytes) -> None:
    in_form("any body", http.post(CHAT, content=body), 400)


@many
@given(field=st.sampled_from(FIELDS), value=values)
def test_a_valid_body_with_one_arbitrary_field(http: httpx.Client, field: str, value: Any) -> None:
    answer = http.post(CHAT, content=json.dumps({**VALID, field: value}))
    in_form("any field", answer, 200, 400, 404)
    if field == "conversation" and isinstance(value, str) and value:
        assert answer.status_code == 404


@many
@given(role=words, content=values, extra=words)
def test_a_message_with_arbitrary_content(http: httpx.Client, role: str, content: Any, extra: str) -> None:
    for message in ({"role": role, "content": content}, {"role": "user", "content": content, extra: role}):
        in_form("any message", http.post(CHAT, content=json.dumps({"messages": [message]})), 200, 400)


@many
@given(text=st.text(min_size=1, max_size=200) | st.sampled_from(SCRIPTS), stream=st.booleans())
def test_messages_are_text_and_come_back_unchanged(http: httpx.Client, served: Served, text: str, stream: bool) -> None:
    """The response and the store contain it unchanged."""
    body = {"messages": [{"role": "user", "content": text}], "stream": stream, "user": "echo", "max_tokens": 1000}
    answer = http.post(CHAT, json=body)
    in_form("said", answer, 200)
    if stream:
        events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
        assert events.pop() == "[DONE]"
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
        said = "".join(delta.get("content") or "" for delta in deltas)
    else:
        said = answer.json()["choices"][0]["message"]["content"]
    if text.split():
        assert said.strip() == text.strip()
    kept = http.get("/telic/conversations", params={"user": "echo"}).text
    assert any(
        json.loads(line)["turns"][0]["text"] == text.replace("\0", "\ufffd") for line in kept.split("\n") if line
    )
    http.delete("/telic/conversations", params={"user": "echo"})


@many
@given(parts=st.lists(st.sampled_from(PARTS) | st.text(max_size=8), max_size=6), method=st.sampled_from(METHODS))
def test_path_tricks(served: Served, parts: list[str], method: str) -> None:
    """Sent as raw bytes, because HTTP clients normalise paths."""
    path = "/v1/models/" * (len(parts) % 2) + "/".join(quote(part, safe="%.\\~") for part in parts)
    status, body = raw(served, f"{method} /{path.lstrip('/')} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    TRIED[f"path: {status}"] += 1
    allowed = {400, 404, 405, 307}
    if path.strip("/").rsplit("/", 1)[-1].partition("?")[0] in ("metrics", "models"):
        allowed.add(200)
    assert status in allowed, (path, status)
    assert b"root:" not in body
    assert b"SQLite" not in body


def raw(served: Served, data: bytes) -> tuple[int, bytes]:
    """Send bytes, and read the status (0: the server closed the connection) and the response."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        heard = b""
        with suppress(ConnectionError):  # it may hang up while we still speak
            connection.sendall(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            while part := connection.recv(65536):
                heard += part
    return int(heard.split(b" ", 2)[1]) if heard.startswith(b"HTTP/1.1 ") else 0, heard


MALFORMED = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Telic\x00: 1\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: local\xff\xfe\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: [::1\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n",
]


def test_the_server_survives_malformed_http(served: Served, http: httpx.Client) -> None:
    for data in MALFORMED:
        status, _ = raw(served, data)
        TRIED[f"malformed: {status}"] += 1
        assert status in (0, 400, 403, 404, 413, 431), (data[:80], status)
        assert http.get("/healthz").json() == {"status": "ok", "version": "base"}


@many
@given(data=st.binary(min_size=1, max_size=200))
def test_noise(served: Served, data: bytes) -> None:
    status, _ = raw(served, data + b"\r\n\r\n")
    TRIED[f"noise: {status}"] += 1
    assert status in (0, 400, 403, 404, 405)


@pytest.mark.parametrize("name", ["../../etc/passwd", "' OR '1'='1", "%00", "x" * 5000, "*", "null", "0", "-1"])
def test_no_crafted_name_reaches_a_conversation(http: httpx.Client, name: str) -> None:
    http.post(CHAT, json=VALID)
    for headers, more in (({"X-Telic-Conversation": name}, {}), ({}, {"conversation": name})):
        in_form("conversation", http.post(CHAT, json={**VALID, **more}, headers=headers), 404)
    for user in (name, f"../{name}", f"%/{name}"):
        assert http.get("/telic/conversations", params={"user": user}).text == ""
        assert http.delete("/telic/conversations", params={"user": user}).json() == {"deleted": 0}


def test_requests_from_pages_of_other_sites_are_refused(http: httpx.Client, served: Served) -> None:
    host = urlsplit(served.url).netloc
    foreign = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{urlsplit(served.url).port}"},
        {"Host": "127.0.0.1.evil.example"},
    ]
    for headers in foreign:
        for method, path in (("POST", CHAT), ("GET", "/telic/conversations"), ("DELETE", "/telic/conversations")):
            content = json.dumps(VALID) if method == "POST" else b""
            in_form("foreign", http.request(method, path, headers=headers, content=content), 403)
    for headers in (
        {"Origin": f"http://{host}"},
        {"Host": "localhost"},
        {"Host": f"[::1]:{urlsplit(served.url).port}"},
    ):
        in_form("own", http.post(CHAT, json=VALID, headers=headers), 200)
    preflight = http.options(CHAT, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    assert not any(name.startswith("access-control") for name in preflight.headers)


@many
@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_guessed_keys(keyed: Served, key: str) -> None:
    with keyed.http() as http:
        for scheme in ("Bearer", "Basic", ""):
            answer = http.get("/telic/conversations", headers={"Authorization": f"{scheme} {key}".strip()})
            in_form("guessed key", answer, 401)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = ServeConfig(store=str(tmp_path_factory.mktemp("keyed") / "telic.db"))
    with serving(ScriptedModel(lambda messages: "No."), config, keys=Keys({"ann": bytes(32)})) as running:
        yield running


def test_no_file_was_written_beside_the_store(served: Served) -> None:
    """Runs last: after all attempts there is one database, and it is intact."""
    path = Path(served.service.config.store)
    assert {file.name.removeprefix(path.name) for file in path.parent.iterdir()} <= {"", "-wal", "-shm"}
    with served.service.store.blocking.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
