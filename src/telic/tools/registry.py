"""Tools by name. Other packages add some through the entry point `tool:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telic.registry import Registry

__all__ = ["tool_registry"]

tool_registry: Registry[Callable[..., Any]] = Registry("tool")
"""By name: a typed function, which is the tool; or a class, whose public methods are the tools, made anew for each
dialogue with the table's `settings`. `[[tools]]` of a purpose file name them."""
tool_registry.declare(
    calculate="telic.tools.calculator:calculate",
    now="telic.tools.clock:now",
)
