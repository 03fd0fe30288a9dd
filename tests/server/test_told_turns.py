"""What a client was told is kept, and a server that is stopped ends in time."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from telic.models import FakeModel, RemoteModel, Reply, Request
from telic.server.exchange import ExchangeStatus
from tests.server.conftest import Served, Start, wait_for
from tests.server.test_conversations import kept


class WaitingModel(FakeModel):
    """Says one thing, and ends its reply when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.end = threading.Event()

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        yield "told"
        self.end.wait()
        yield Reply("told", "stop", prompt_tokens=3, new_tokens=1)


@contextmanager
def write_locked(store: Path) -> Iterator[None]:
    """Keep all others from writing to a store."""
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def tell(served: Served, client: httpx.Client, text: str) -> Iterator[str]:
    """Begin a streamed reply, and read until its text was told; returns the further lines."""
    body = {"messages": [{"role": "user", "content": text}], "stream": True}
    request = client.build_request("POST", f"{served.url}/v1/chat/completions", json=body)
    lines = client.send(request, stream=True).iter_lines()
    assert any("told" in line for line in lines)
    return lines


def statuses(served: Served) -> list[ExchangeStatus]:
    return [exchange._status for exchange in served.service.chat.active_exchanges]


def leave_while_commits_wait(served: Served, model: WaitingModel, texts: list[str]) -> None:
    """Let clients hear their replies, and leave once these wait to be stored."""
    with httpx.Client(timeout=60) as client:
        streams = [tell(served, client, text) for text in texts]
        model.end.set()
        wait_for(lambda: statuses(served) == [ExchangeStatus.SAVING] * len(texts))
        del streams
    wait_for(lambda: served.service.limits.active_count == 0)


def test_a_reply_whose_client_leaves_while_it_waits_to_be_stored_is_kept(start: Start) -> None:
    model = WaitingModel()
    served = start(model)
    texts = [f"Number {n}" for n in range(6)]
    with write_locked(start.folder / "telic.db"):
        leave_while_commits_wait(served, model, texts)
    wait_for(lambda: sorted(kept(served).values()) == [[text, "told"] for text in texts])
    assert {turn.finish for episode in served.service.store.episodes() for turn in episode.turns} == {"given", "stop"}
    wait_for(lambda: not served.service.sessions.busy and not served.service.chat.active_exchanges)


def test_a_shutdown_waits_for_replies_that_are_to_be_stored(start: Start) -> None:
    model = WaitingModel()
    served = start(model)
    texts = [f"Number {n}" for n in range(6)]
    with write_locked(start.folder / "telic.db"):
        leave_while_commits_wait(served, model, texts)
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        wait_for(lambda: served.service.closing)
    stopping.join()
    with closing(sqlite3.connect(start.folder / "telic.db")) as store:
        assert store.execute("SELECT count(*) FROM turns WHERE text = 'told'").fetchone() == (6,)


@contextmanager
def silent_endpoint() -> Iterator[tuple[str, list[socket.socket]]]:
    """An endpoint that accepts connections and never answers; yields its address and the connections."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connections.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", connections
        listener.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


def is_closed(connection: socket.socket) -> bool:
    """Return whether the other side has closed a connection, of which we read everything."""
    connection.settimeout(0.01)
    try:
        return all(connection.recv(65536) for _ in range(1000)) is False
    except TimeoutError:
        return False


def test_a_reply_that_is_cancelled_closes_its_connection_to_a_silent_endpoint(start: Start) -> None:
    with silent_endpoint() as (url, connections):
        served = start(RemoteModel("m", base_url=url))
        body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
        with pytest.raises(httpx.TimeoutException), served.http() as http:
            http.post("/v1/chat/completions", json=body, timeout=1)
        wait_for(lambda: bool(connections))
        wait_for(lambda: is_closed(connections[0]))
        wait_for(lambda: list(kept(served).values()) == [["Hello"]])


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_waits_for_a_silent_endpoint_ends_when_it_is_told_to(
    tmp_path: Path, sign: signal.Signals, stream: bool
) -> None:
    with silent_endpoint() as (url, connections):
        (tmp_path / "p.toml").write_text(
            f'name = "p"\nmodel = "{url}#m"\nsystem = "You are Mia."\n[serve]\nshutdown_seconds = 1\n'
        )
        command = [sys.executable, "-m", "telic.cli.main", "serve", "p.toml", "--port", "0", "--no-dashboard"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        server = process.stdout.readline().split()[-1]
        asked = len(connections)  # whether it is a vLLM server with the plug-in
        body: Any = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        failed: list[Exception] = []

        def ask() -> None:
            try:
                httpx.post(f"{server}/chat/completions", json=body, timeout=300)
            except httpx.HTTPError as error:
                failed.append(error)

        client = threading.Thread(target=ask)
        client.start()
        wait_for(lambda: len(connections) > asked)
        process.send_signal(sign)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            process.communicate()
        client.join()
    with closing(sqlite3.connect(tmp_path / "telic.db")) as store:
        assert store.execute("SELECT role, text FROM turns").fetchall() == [("user", "Hello")], "the message is kept"
