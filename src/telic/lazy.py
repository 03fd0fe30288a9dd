"""Lazy imports: a package imports a public name when it is first used, so that `import telic` stays fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from telic.errors import MissingExtraError

__all__ = ["imports"]


def imports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module-level `__getattr__` for a package.

    Args:
        package: its `__name__`.
        homes: for each public name, the module that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(homes[name]), name)
        except ModuleNotFoundError as error:
            raise MissingExtraError.of(error, f"{package}.{name}") or error from None
        setattr(sys.modules[package], name, value)  # from now on the attribute is found without `__getattr__`
        return value

    return find
