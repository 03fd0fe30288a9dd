"""An OpenAI-compatible endpoint on a real socket that answers as a function of the messages says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from telic.models.remote import RemoteModel

__all__ = ["Endpoint", "call", "scripted_endpoint"]

Answer = str | dict[str, Any]
"""A text, or a call made with `call`."""
Script = Callable[[list[dict[str, Any]]], Answer]


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    """Answer with a call of a tool."""
    return {"name": name, "arguments": json.dumps(arguments)}


class Endpoint(ThreadingHTTPServer):
    """The endpoint; `bodies` are the requests that it got."""

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.bodies: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def model(self) -> RemoteModel:
        return RemoteModel("scripted", base_url=self.address, api_key="none", retries=0)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        answer = self.server.script(body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": answer if isinstance(answer, str) else None}
        if not isinstance(answer, str):
            number = len(self.server.bodies)
            message["tool_calls"] = [{"id": f"call{number}", "type": "function", "function": answer}]
        finish = "stop" if isinstance(answer, str) else "tool_calls"
        choice = {"index": 0, "finish_reason": finish, "message": message}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        data = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def scripted_endpoint(script: Script) -> Iterator[Endpoint]:
    """Serve a script."""
    with Endpoint(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
