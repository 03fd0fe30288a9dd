"""Tools: what a chatbot may do besides talking. Python functions, and the tools of MCP servers."""

from telic.tools.base import Tool, ToolError
from telic.tools.functions import function_tool
from telic.tools.registry import tool_registry
from telic.tools.toolbox import Confirm, Toolbox

__all__ = ["Confirm", "Tool", "ToolError", "Toolbox", "function_tool", "tool_registry"]
