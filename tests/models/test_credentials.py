"""Which key an endpoint gets: an address in a file that somebody sent gets none that was meant for another."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from telic.errors import ConfigError, JudgeError
from telic.judges import build_judge
from telic.models import RemoteModel, load
from telic.models.credentials import check_model_name, is_openai, key_for, key_variable
from telic.planner.prompt_embeds import complete

KEY = "sk-secret"
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}


class Listener(HTTPServer):
    """Answers everything, and keeps the keys that it was sent."""

    keys: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            server.keys.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(ANSWER).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = Listener(("127.0.0.1", 0), Handler)
    server.keys = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def said_by(model: Any) -> str:
    return str(model.session().user("Hi").reply(max_new_tokens=2).text)


def test_an_address_in_a_file_gets_no_key_of_openai(listener: Listener) -> None:
    assert said_by(load(f"{listener.url}#gpt")) == "Hi."
    judge = build_judge({"model": f"{listener.url}#gpt", "rubric": "Be kind.", "retries": 0})
    judge.judge("Hello")
    complete(torch_embeddings(), "gpt", listener.url, retries=0)
    assert len(listener.keys) == 3
    assert not any(KEY in str(key) for key in listener.keys)


def torch_embeddings() -> Any:
    return pytest.importorskip("torch").zeros(1, 4)


def test_the_users_own_address_gets_it(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", listener.url + "/")
    assert said_by(RemoteModel("gpt")) == "Hi."
    assert said_by(load(f"{listener.url}#gpt")) == "Hi."
    assert listener.keys == [f"Bearer {KEY}"] * 2


def test_another_address_has_a_variable_of_its_own(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TELIC_KEY_127_0_0_1_{listener.server_port}", "own")
    assert said_by(load(f"{listener.url}#gpt")) == "Hi."
    assert said_by(RemoteModel("gpt", base_url=listener.url, api_key="given")) == "Hi."
    assert listener.keys == ["Bearer own", "Bearer given"]


@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://eu.api.openai.com:443/v1", "OPENAI_API_KEY"),
        ("http://api.openai.com/v1", "TELIC_KEY_API_OPENAI_COM"),
        ("https://evilopenai.com/v1", "TELIC_KEY_EVILOPENAI_COM"),
        ("https://api.openai.com.evil.org/v1", "TELIC_KEY_API_OPENAI_COM_EVIL_ORG"),
        ("https://openrouter.ai/api/v1", "TELIC_KEY_OPENROUTER_AI"),
        ("http://localhost:8000/v1", "TELIC_KEY_LOCALHOST_8000"),
        ("http://LOCALHOST/v1", "TELIC_KEY_LOCALHOST"),
        ("https://my-models.example.com/v1", "TELIC_KEY_MY__MODELS_EXAMPLE_COM"),
        ("https://my.models.example.com/v1", "TELIC_KEY_MY_MODELS_EXAMPLE_COM"),
        ("http://[::1]:8000/v1", "TELIC_KEY_____3A____3A1_8000"),
    ],
)
def test_the_variable_of_an_address(address: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_variable(address) == variable
    assert is_openai(address) is (variable == "OPENAI_API_KEY" or variable == "TELIC_KEY_API_OPENAI_COM")
    monkeypatch.setenv(variable, "mine")
    assert key_for(address) == "mine"
    monkeypatch.setenv(variable, "")
    assert key_for(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "http://me:hunter2@host/v1",
        "https://hunter2@host:1/v1",
        "http://me:hun/ter2@host/v1",
        "http://host/v1?key=hunter2",
    ],
)
def test_no_address_has_a_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for refuse in (
        lambda: load(f"{address}#gpt"),
        lambda: RemoteModel("gpt", base_url=address),
        lambda: judge(address),
    ):
        with pytest.raises(
            (ConfigError, JudgeError), match=r"with a user name, a password or a query.*TELIC_KEY_HOST"
        ) as refusal:
            refuse()
        assert "ter2" not in str(refusal.value)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ConfigError, match=r"base_url is 'https?://(\*\*\*@)?host") as refusal:
        RemoteModel("gpt")
    assert "ter2" not in str(refusal.value)


def judge(address: str) -> Any:
    return build_judge({"model": f"{address}#gpt", "rubric": "Be kind."})


def test_names_that_are_no_address() -> None:
    for name in (None, "smollm2", "owner/name@revision", "http://host/v1#name@latest"):
        check_model_name(name)
    for address in ("localhost:8000", "http://", "ftp://host", "http://host:port/v1"):
        with pytest.raises(ConfigError, match="expected http"):
            RemoteModel("gpt", base_url=address)
