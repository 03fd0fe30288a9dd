"""The tools of MCP servers (Model Context Protocol), by the official client: a process (stdio) or an address (HTTP).

A server runs for as long as this process. Its connection lives in an event loop of its own thread, so that tools are
called as plain functions everywhere. A connection that broke is made again at the next call.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from telic.dialogue import ToolDefinition
from telic.errors import ConfigError, MissingExtraError
from telic.purpose_parts import McpServer, ToolSpec
from telic.tools.base import Tool, ToolError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

__all__ = ["mcp_tools"]

START_TIMEOUT = 30.0
"""Seconds within which a server must have listed its tools."""
CLOSE_TIMEOUT = 5.0

T = TypeVar("T")


def mcp_tools(spec: ToolSpec, folder: Path | None = None) -> list[Tool]:
    """Connect to a server, and return its tools.

    Args:
        spec: the server, with the limits of a call.
        folder: the working directory of a command.

    Raises:
        ConfigError: the server cannot be started or does not answer.
        MissingExtraError: the extra `mcp` is not installed.
    """
    assert spec.mcp is not None
    connection = _connection(spec.mcp.model_dump_json(), folder)
    try:
        listed = _wait(connection.list_tools(), START_TIMEOUT)
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error, "a tool of an MCP server") or error from None
    except Exception as error:
        connection.close()  # a process that does not answer is not left behind
        raise ConfigError(f"MCP server {connection.name}: {_reason(error)}") from None
    tools = []
    for one in listed:
        try:
            definition = ToolDefinition(name=one.name, description=one.description or "", parameters=one.input_schema)
        except ValidationError:
            raise ConfigError(
                f"MCP server {connection.name}: a tool is called {one.name!r}; models take letters, digits, _ and -, "
                "at most 64"
            ) from None
        function = partial(_call, connection, one.name, spec.timeout)
        tools.append(Tool(definition, function, timeout=spec.timeout, max_characters=spec.max_characters))
    return tools


def _call(connection: _Connection, tool: str, timeout: float, arguments: dict[str, Any]) -> str:
    try:
        result = _wait(connection.call(tool, arguments, timeout), timeout)
    except Exception as error:  # the next call connects again
        raise ToolError(f"{tool} failed: {_reason(error)}") from None
    text = _text(result)
    if result.is_error:
        raise ToolError(text)
    return text


def _text(result: CallToolResult) -> str:
    """Return a result as text; other contents, such as pictures, are named."""
    parts = []
    for block in result.content:
        text = getattr(block, "text", None)
        if text is None and (resource := getattr(block, "resource", None)) is not None:
            text = getattr(resource, "text", None)
        kind = getattr(block, "mime_type", None) or block.type
        parts.append(text if isinstance(text, str) else f"[{kind}: not shown]")
    return "\n".join(parts)


@cache
def _connection(server: str, folder: Path | None) -> _Connection:
    """Return the connection to a server; the same one for all purposes that name it."""
    connection = _Connection(McpServer.model_validate_json(server), folder)
    atexit.register(connection.close)
    return connection


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="telic-mcp", daemon=True).start()
    return loop


def _wait(work: Coroutine[Any, Any, T], seconds: float) -> T:
    return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), _loop()).result()


class _Connection:
    """A connection to one server. Its methods run in the event loop of the connections."""

    def __init__(self, server: McpServer, folder: Path | None) -> None:
        self._server, self._folder = server, folder
        self.name = repr(server.url or " ".join(server.command))
        self._task: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None

    async def list_tools(self) -> list[Any]:
        """List all tools."""
        client, tools, cursor = await self._connected(), list[Any](), None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return tools

    async def call(self, tool: str, arguments: dict[str, Any], timeout: float) -> CallToolResult:
        """Call a tool; connect again if the connection is broken."""
        from mcp import MCPError

        client = await self._connected()
        try:
            return await client.call_tool(tool, arguments, read_timeout_seconds=timeout)
        except MCPError:
            if self._task is not None and not self._task.done() and self._server.command:
                self._drop()  # the process may have ended, which its streams do not tell
            raise
        except Exception:
            self._drop()
            raise

    async def _connected(self) -> Client:
        if self._client is None or self._task is None or self._task.done():
            self._client = asyncio.get_running_loop().create_future()
            self._task = asyncio.get_running_loop().create_task(self._keep_open(self._client))
        return await asyncio.shield(self._client)

    async def _keep_open(self, ready: asyncio.Future[Client]) -> None:
        """Hold the connection open: the task that opens it must be the one that closes it."""
        try:
            from mcp import Client, StdioServerParameters

            server: str | StdioServerParameters = self._server.url or ""
            if self._server.command:
                command, *arguments = self._server.command
                server = StdioServerParameters(
                    command=command, args=arguments, env=self._server.env or None, cwd=self._folder
                )
            async with Client(server) as client:
                ready.set_result(client)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # so that nobody hears of it twice
        finally:
            ready.cancel()

    def _drop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._client = None

    def close(self) -> None:
        """End the server."""
        with suppress(Exception):
            _wait(self._close(), CLOSE_TIMEOUT)

    async def _close(self) -> None:
        task = self._task
        self._drop()
        if task is not None:
            await asyncio.wait([task], timeout=CLOSE_TIMEOUT)


def _reason(error: BaseException) -> str:
    """Return why a connection or a call failed, the first cause of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return f"{error}" or type(error).__name__
