"""An MCP server for tests: `python shop_tools.py`, or `python shop_tools.py http PORT`."""

from __future__ import annotations

import os
import sys
import time

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("shop")


@server.tool()
def price_of(item: str, count: int = 1) -> str:
    """Look up a price."""
    if item != "lamp":
        raise ToolError(f"there is no {item}")
    return f"{count * 20} dollars"


@server.tool()
def wait(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "done"


@server.tool()
def leave() -> str:
    """End the server."""
    os._exit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run("stdio")
