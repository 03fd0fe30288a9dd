"""Tools of real MCP servers: a process that speaks over its pipes, and one over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telic.dialogue import ToolCall
from telic.errors import ConfigError
from telic.purpose import Purpose
from telic.purpose_parts import McpServer, ToolSpec
from telic.tools import Toolbox, mcp_client
from telic.tools.mcp_client import mcp_tools

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("shop_tools.py")
COMMAND = [sys.executable, str(SERVER)]


def call(name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id="c", name=name, arguments=arguments)


def toolbox(spec: ToolSpec) -> Toolbox:
    return Toolbox([lambda: mcp_tools(spec)])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*COMMAND, "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


def check(tools: Toolbox) -> None:
    definition = tools.tools["price_of"].definition
    assert definition.description == "Look up a price."
    assert definition.parameters["required"] == ["item"]
    assert tools.call(call("price_of", '{"item": "lamp", "count": 2}')).content == "40 dollars"
    assert "there is no boat" in tools.call(call("price_of", '{"item": "boat"}')).content
    wrong = tools.call(call("price_of", '{"item": "lamp", "count": "many"}')).content
    assert wrong.startswith("error: ")
    assert "count" in wrong


def test_a_process(tmp_path: Path) -> None:
    check(toolbox(ToolSpec(mcp=McpServer(command=COMMAND))))


def test_an_address(address: str) -> None:
    check(toolbox(ToolSpec(mcp=McpServer(url=address))))


def test_a_slow_tool_is_an_error_for_the_model_and_the_server_goes_on() -> None:
    tools = toolbox(ToolSpec(mcp=McpServer(command=COMMAND, env={"SLOW": "1"}), timeout=0.5))
    assert tools.call(call("wait", '{"seconds": 5}')).content.startswith("error: wait")


def test_a_server_that_ended_is_started_again_at_the_next_call() -> None:
    tools = toolbox(ToolSpec(mcp=McpServer(command=COMMAND, env={"ENDS": "1"}), timeout=20))
    assert tools.call(call("leave")).content.startswith("error: leave failed")
    assert tools.call(call("price_of", '{"item": "lamp"}')).content == "20 dollars"


@pytest.mark.parametrize("command", [["no-such-program-here"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_server_that_does_not_start_is_an_error_with_its_place(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(f'name = "shop"\nsystem = "You sell."\n\n[[tools]]\nmcp = {{ command = {command!r} }}\n')
    with pytest.raises(ConfigError, match=r"shop\.toml, line 4: tools\[0\]: MCP server"):
        Toolbox.of_purpose(Purpose.from_file(file, trust=True))


def test_a_server_that_does_not_answer_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_client, "START_TIMEOUT", 3.0)
    place = tmp_path / "pid"
    spec = ToolSpec(mcp=McpServer(command=["/bin/sh", "-c", f"echo $$ > {place}; exec sleep 600"]))
    with pytest.raises(ConfigError, match="it did not answer in time"):
        mcp_tools(spec)
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


def test_a_command_needs_trust(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(f'name = "shop"\nsystem = "You sell."\n\n[[tools]]\nmcp = {{ command = {COMMAND!r} }}\n')
    with pytest.raises(ConfigError, match="add --trust"):
        Toolbox.of_purpose(Purpose.from_file(file))


def test_a_purpose_allows_some_tools_and_asks_for_confirmation_of_others(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    table = f'[[tools]]\nmcp = {{ command = {COMMAND!r} }}\nallow = ["price_of", "wait"]\nconfirm = ["wait"]\n'
    file.write_text(f'name = "shop"\nsystem = "You sell."\n\n{table}')
    tools = Toolbox.of_purpose(Purpose.from_file(file, trust=True))
    assert [(tool.name, tool.confirm) for tool in tools.tools.values()] == [("price_of", False), ("wait", True)]
