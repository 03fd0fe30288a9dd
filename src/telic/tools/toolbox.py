"""The tools of one dialogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from inspect import isroutine
from typing import Any, TypeAlias

from telic.dialogue import Message, ToolCall, ToolDefinition
from telic.errors import ConfigError, TelicError
from telic.purpose import Purpose
from telic.purpose_parts import ToolSpec
from telic.registry import suggest
from telic.tools.base import Tool, error_message
from telic.tools.functions import function_tool, methods_of
from telic.tools.registry import tool_registry
from telic.user_code import load_function

__all__ = ["Confirm", "Toolbox"]

Confirm: TypeAlias = Callable[[Tool, ToolCall], bool]
"""Asks a person whether a call may be carried out."""

_Maker = Callable[[], Sequence[Tool]]


class Toolbox:
    """The tools that one side of a dialogue may call.

    Args:
        makers: each makes some of the tools, anew for every dialogue.

    Raises:
        ConfigError: two tools have the same name.
    """

    def __init__(self, makers: Iterable[_Maker] = ()) -> None:
        self._makers = tuple(makers)
        self.tools: dict[str, Tool] = {}
        """By name."""
        for make in self._makers:
            for tool in make():
                if tool.name in self.tools:
                    raise ConfigError(f"two tools are called {tool.name!r}; leave one out with allow = [...]")
                self.tools[tool.name] = tool

    @classmethod
    def of(cls, *tools: Tool | Callable[..., Any]) -> Toolbox:
        """Make a toolbox of functions and classes, as `[[tools]]` of a purpose file do.

        Raises:
            ConfigError: a function has a parameter without a type; two tools have the same name.
        """
        return cls([_maker(tool, {}, {}) for tool in tools])

    @classmethod
    def of_purpose(cls, purpose: Purpose) -> Toolbox:
        """Make the toolbox of a purpose; connects to its MCP servers.

        Raises:
            ConfigError: a tool is unknown or cannot be used; an MCP server does not answer. The message says where.
            MissingExtraError: it has MCP servers, and the extra `mcp` is not installed.
        """
        made = []
        for index, spec in enumerate(purpose.tools):
            try:
                made.append(_maker_of_allowed(spec, purpose))
                made[-1]()  # so that an error is told with its place
            except ConfigError as error:
                raise ConfigError(f"{purpose.where('tools', index)}: {error}") from None
        return cls(made)

    def begin(self) -> Toolbox:
        """Return the toolbox of a new dialogue: what a tool stores belongs to one dialogue."""
        return Toolbox(self._makers)

    def with_tools(self, *tools: Tool) -> Toolbox:
        """Return a toolbox with further tools."""
        return Toolbox([*self._makers, lambda: tools])

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What a model is told of the tools."""
        return tuple(tool.definition for tool in self.tools.values())

    def __bool__(self) -> bool:
        return bool(self.tools)

    def call(self, call: ToolCall, confirm: Confirm | None = None) -> Message:
        """Carry out a call, and return the message with its result, or with what was wrong.

        Args:
            call: the call.
            confirm: asks a person about tools that need it; by default none is there, and such a call is refused.
        """
        tool = self.tools.get(call.name)
        if tool is None:
            return error_message(call, f"there is no tool {call.name!r}{suggest(call.name, list(self.tools))}")
        if tool.confirm and confirm is None:
            return error_message(call, f"{tool.name} needs the confirmation of a person, and none can be asked here")
        if tool.confirm and confirm is not None and not confirm(tool, call):
            return error_message(call, f"the user does not want {tool.name} to be called with these arguments")
        return tool.call(call)


def _maker_of_allowed(spec: ToolSpec, purpose: Purpose) -> _Maker:
    make = _maker_of(spec, purpose)
    return lambda: _restricted(make(), spec)


def _maker_of(spec: ToolSpec, purpose: Purpose) -> _Maker:
    if spec.mcp is not None:
        from telic.tools.mcp_client import mcp_tools

        if purpose.trusted_folder is None and spec.mcp.command:
            command = " ".join(spec.mcp.command)
            raise ConfigError(f"{command!r} is a command. If you trust the file, add --trust (in Python: trust=True)")
        tools = mcp_tools(spec, purpose.trusted_folder)
        return lambda: tools
    if spec.python is not None:
        return _maker(load_function(spec.python, "tool", purpose.trusted_folder), spec.options(), spec.settings)
    return _maker(tool_registry.get(spec.name or ""), spec.options(), spec.settings)


def _maker(found: Any, options: Mapping[str, Any], settings: Mapping[str, Any]) -> _Maker:
    """Return what makes the tools of a function or a class."""
    if isinstance(found, type):
        return lambda: [function_tool(method, **options) for method in methods_of(_instance(found, settings))]
    if settings:
        raise ConfigError("settings are for a class; a function has none")
    if isinstance(found, Tool):
        return lambda: [found]
    if not isroutine(found):
        raise ConfigError(f"{found!r} is neither a function nor a class")
    return lambda: [function_tool(found, **options)]


def _instance(factory: type, settings: Mapping[str, Any]) -> object:
    try:
        return factory(**settings)
    except TelicError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(f"{factory.__name__} cannot be made with {dict(settings)!r}: {error}") from error


def _restricted(tools: Sequence[Tool], spec: ToolSpec) -> list[Tool]:
    """Leave out what the purpose does not allow, and mark what needs confirmation.

    Raises:
        ConfigError: `allow` or `confirm` names none of the tools.
    """
    known = [tool.name for tool in tools]
    for name in [*(spec.allow or ()), *spec.confirmed_names]:
        if name not in known:
            raise ConfigError(f"there is no tool {name!r} here{suggest(name, known)}")
    kept = [tool for tool in tools if spec.allow is None or tool.name in spec.allow]
    return [replace(tool, confirm=tool.confirm or spec.needs_confirmation(tool.name)) for tool in kept]
