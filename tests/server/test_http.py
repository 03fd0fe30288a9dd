"""The edges of the API: methods, errors, limits that are applied, other sites, export and deletion."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from telic.errors import ConfigError
from telic.models import FakeModel, Reply, Request, ScriptedModel
from telic.server import ServeConfig, Service, create_app
from telic.server.middleware import LOCAL_HOSTS
from tests.server.conftest import PURPOSE, SlowModel, Start, wait_for
from tests.server.test_conversations import kept
from tests.server.test_limits_and_keys import keys

CHAT = "/v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("path", ["/healthz", "/health", "/v1/models", "/models", "/v1/models/travel"])
def test_head_answers_as_get_does_without_a_body(start: Start, path: str) -> None:
    with start().http() as http:
        got, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"stop": ["x"] * 17}, "stop", "stop: 17 entries; expected at most 16"),
        ({"stop": [""]}, "stop", "stop.0: String should have at least 1 character"),
        ({"tools": [{"type": "function"}]}, "tools", "tools.0.function: Field required"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "logit_bias: this server does not support logit_bias; remove it"),
        ({"messages": []}, "messages", "messages: 0 entries; expected at least 1"),
    ],
)
def test_an_error_says_what_is_wrong_with_the_value(
    start: Start, fields: dict[str, Any], param: str, message: str
) -> None:
    with start().http() as http:
        answer = http.post(CHAT, json={"messages": HELLO, **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"] == message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_a_limit_above_the_servers_own_is_capped_and_the_response_says_so(
    start: Start, name: str, stream: bool
) -> None:
    with start(SlowModel(words=5, seconds=0), max_new_tokens=7).http() as http:
        body = {"messages": HELLO, "stream": stream}
        answer = http.post(CHAT, json={**body, name: 5000})
        assert (answer.status_code, answer.headers["X-Telic-Capped"]) == (200, "max_tokens=7")
        assert "X-Telic-Capped" not in http.post(CHAT, json={**body, name: 7}).headers
        assert http.post(CHAT, json={**body, name: 0}).status_code == 400


def test_a_capped_reply_has_no_more_than_the_servers_limit(start: Start) -> None:
    with start(FakeModel(), max_new_tokens=3).http() as http:
        answer = http.post(CHAT, json={"messages": HELLO, "max_tokens": 5000}).json()
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (3, "length")


APP = "https://app.example"


def preflight(http: httpx.Client, origin: str, path: str = CHAT) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os"}
    return http.options(path, headers={"Origin": origin, **asked})


def test_pages_of_an_allowed_origin_use_the_api_and_no_other_page_does(start: Start) -> None:
    served = start(allow_origins=[APP], hosts=LOCAL_HOSTS)
    with served.http() as http:
        allowed = preflight(http, APP)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == APP
        assert "x-stainless-os" in allowed.headers["access-control-allow-headers"]
        answer = http.post(CHAT, json={"messages": HELLO}, headers={"Origin": APP})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
        assert "X-Telic-Conversation" in answer.headers["access-control-expose-headers"]
        refused = http.post(CHAT, json={}, headers={"Origin": APP})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, APP)
        for origin in ("https://evil.example", f"{APP}.evil.example", "http://app.example", "null"):
            assert preflight(http, origin).status_code == 403
            foreign = http.post(CHAT, json={"messages": HELLO}, headers={"Origin": origin})
            assert foreign.status_code == 403
            assert "access-control-allow-origin" not in foreign.headers
        for path in ("/dashboard/", "/dashboard/login", "/metrics", "/"):
            assert http.get(path, headers={"Origin": APP}).status_code == 403, "the API only"
        assert http.post(CHAT, json={"messages": HELLO}, headers={"Origin": APP, "Host": "evil"}).status_code == 403


def test_any_origin_needs_keys(start: Start) -> None:
    key = "the key of ann"
    with start(allow_origins=["*"], keys=keys(ann=key)).http() as http:
        assert preflight(http, "https://any.example").headers["access-control-allow-origin"] == "*"
        unknown = http.post(CHAT, json={"messages": HELLO}, headers={"Origin": APP})
        assert (unknown.status_code, unknown.headers["access-control-allow-origin"]) == (401, "*")
    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=str(start.folder / "b.db"), allow_origins=["*"]))
    with pytest.raises(ConfigError, match="every web page could use the server"):
        create_app(service)
    for origin in ("app.example", f"{APP}/", f"{APP}/path", ""):
        with pytest.raises(ConfigError, match="allow_origins"):
            ServeConfig.of(allow_origins=[origin])


def test_an_empty_user_deletes_nothing(start: Start) -> None:
    served = start(ScriptedModel(lambda messages: "Noted."))
    with served.http() as http:
        for user in ("ann", "bob"):
            http.post(CHAT, json={"messages": HELLO, "user": user})
        for query in ("?user=", "?user", "?user=ann&user=", "?user=ann&user=bob"):
            for method in ("GET", "DELETE"):
                answer = http.request(method, f"/telic/conversations{query}")
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user"), query
        assert len(kept(served)) == 2
        assert http.delete("/telic/conversations").json() == {"deleted": 2}


class LongModel(FakeModel):
    """Says a lot at once."""

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        yield "word " * 100_000
        yield Reply("word " * 100_000, "stop", prompt_tokens=3, new_tokens=100_000)


def connected(url: str, request: bytes) -> socket.socket:
    """Send a request, and read nothing of its response. The client takes in little."""
    address = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((address.hostname or "", address.port or 0))
    client.sendall(request)
    return client


def posted(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def test_an_export_counts_as_a_request_while_it_lasts(start: Start) -> None:
    served = start(LongModel(), max_requests_per_key=1, write_seconds=3600)
    with served.http() as http:
        for _ in range(20):
            http.post(CHAT, json={"messages": HELLO}).raise_for_status()
            wait_for(lambda: served.service.limits.active_count == 0)
        with connected(served.url, b"GET /telic/conversations HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            wait_for(lambda: served.service.limits.active_count == 1)
            for answer in (
                http.get("/telic/conversations"),
                http.delete("/telic/conversations"),
                http.post(CHAT, json={"messages": HELLO}),
            ):
                assert answer.status_code == 429
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
        wait_for(lambda: served.service.limits.active_count == 0)
        assert len(http.get("/telic/conversations").text.splitlines()) == 20


class EndlessModel(FakeModel):
    """Says a lot, until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        try:
            while True:
                time.sleep(0.01)
                yield "word " * 2_000
        finally:
            self.stopped.set()


def test_a_client_that_does_not_read_is_cut_off_and_what_it_was_told_is_kept(start: Start) -> None:
    model = EndlessModel()
    served = start(model, write_seconds=0.2, max_requests=1)
    with connected(served.url, posted({"messages": HELLO, "stream": True})), served.http() as http:
        assert model.stopped.wait(60)
        wait_for(lambda: served.service.limits.active_count == 0)
        wait_for(lambda: bool(kept(served)))
        [episode] = served.service.store.episodes()
        assert (episode.turns[0].text, episode.turns[1].finish) == ("Hello", "left")
        assert episode.turns[1].text.startswith("word word ")
        assert http.get("/v1/models").status_code == 200


def test_a_client_that_reads_slowly_gets_everything(start: Start) -> None:
    served = start(LongModel(), write_seconds=30)
    with connected(served.url, posted({"messages": HELLO, "stream": True})) as client:
        client.settimeout(60)
        heard = b""
        while b"[DONE]" not in heard:
            part = client.recv(65536)
            assert part
            heard += part
    assert heard.count(b"word ") == 100_000
