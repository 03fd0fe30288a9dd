"""Names to factories, open to plug-ins through one entry-point group.

A plug-in package declares, for example::

    [project.entry-points.telic]
    "judge:politeness" = "my_package:politeness"

and `{ politeness = ... }` is then a judge in any purpose file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from telic.errors import ConfigError

__all__ = ["Registry", "suggest"]

F = TypeVar("F", bound=Callable[..., Any])

ENTRY_POINT_GROUP = "telic"


def suggest(name: str, known: Iterator[str] | list[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, or the list of what is known."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names) or 'none'}"


class Registry(Generic[F]):
    """The factories of one kind of thing (`judge`, `control`, `game`, ...), by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, F] = {}
        self._plugins_loaded = False

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that registers a factory under `name`.

        Raises:
            ConfigError: the name is taken.
        """

        def add(factory: F) -> F:
            if name in self._factories:
                raise ConfigError(f"{self.kind} {name!r} is registered twice")
            self._factories[name] = factory
            return factory

        return add

    def names(self) -> list[str]:
        """All known names, plug-ins included, sorted."""
        self._load_plugins()
        return sorted(self._factories)

    def get(self, name: str) -> F:
        """Return the factory called `name`.

        Raises:
            ConfigError: nothing has this name; the message suggests the nearest one.
        """
        if name not in self._factories:
            self._load_plugins()
        if name not in self._factories:
            raise ConfigError(f"unknown {self.kind} {name!r}{suggest(name, list(self._factories))}")
        return self._factories[name]

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        prefix = f"{self.kind}:"
        for point in entry_points(group=ENTRY_POINT_GROUP):
            if point.name.startswith(prefix) and point.name.removeprefix(prefix) not in self._factories:
                self._factories[point.name.removeprefix(prefix)] = point.load()
