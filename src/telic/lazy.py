"""Names that a package imports when they are first used: `import telic` loads neither torch nor anything heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["imports"]


def imports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a package's module-level `__getattr__`.

    Args:
        package: its `__name__`.
        homes: for each public name, the module that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # the next time it is found without asking here
        return value

    return find
