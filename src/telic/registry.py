"""Factories by name. Other packages add some through one entry-point group.

A plug-in package declares, for example::

    [project.entry-points.telic]
    "judge:politeness" = "my_package:politeness"

and `{ politeness = ... }` is then a judge in any purpose file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar

from telic.errors import ConfigError, MissingExtraError

__all__ = ["Registry", "parse_settings", "parse_spec", "suggest"]

F = TypeVar("F", bound=Callable[..., Any])

ENTRY_POINT_GROUP = "telic"


def suggest(name: str, known: Iterator[str] | list[str]) -> str:
    """Return `"; did you mean 'x'?"` with the nearest known name, or `"; known: ..."` with all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names) or 'none'}"


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Read settings such as `rounds=3`. A value is TOML, or else a text without quotation marks.

    Raises:
        ConfigError: a text is not of the form KEY=VALUE.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"expected KEY=VALUE, got {text!r}")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = value
    return settings


def parse_spec(text: str) -> dict[str, Any]:
    """Read `NAME:KEY=VALUE,KEY=VALUE`, such as `split_softmax:k=0.8`, as a table of a purpose file.

    Raises:
        ConfigError: a setting is not of the form KEY=VALUE.
    """
    name, _, settings = text.partition(":")
    return {"name": name, **parse_settings(filter(None, settings.split(",")))}


class Registry(Generic[F]):
    """Factories by name, for one kind of object: `judge`, `control`, `game`, ...

    Args:
        kind: what errors call the objects, and the prefix of their entry points.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, F] = {}
        self._declared: dict[str, str] = {}
        self._plugins_loaded = False
        self._broken: dict[str, str] = {}
        """By name: why a plug-in cannot be loaded."""

    def declare(self, **targets: str) -> None:
        """Declare factories that are imported when they are first used: `refresh="telic.steering.refresh:Refresh"`."""
        self._declared.update(targets)

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that registers a factory under `name`.

        Raises:
            ConfigError: the name is taken.
        """

        def add(factory: F) -> F:
            if name in self._factories or name in self._declared:
                raise ConfigError(f"{self.kind} {name!r} is registered twice")
            self._factories[name] = factory
            return factory

        return add

    def names(self) -> list[str]:
        """The sorted names of all factories, including plug-ins, except those that cannot be loaded."""
        self._load_plugins()
        return sorted({*self._factories, *self._declared})

    def get(self, name: str) -> F:
        """Return the factory called `name`.

        Raises:
            ConfigError: no factory has this name; the message suggests the nearest one.
            MissingExtraError: the factory needs a package that is not installed.
        """
        if name in self._declared:
            module, _, attribute = self._declared[name].partition(":")
            try:
                self._factories[name] = getattr(import_module(module), attribute)
            except ModuleNotFoundError as error:
                raise MissingExtraError.of(error, f"{self.kind} {name!r}") or error from None
            del self._declared[name]
        if name not in self._factories:
            self._load_plugins()
        if name not in self._factories:
            if name in self._broken:
                raise ConfigError(self._broken[name])
            broken = "".join(f"; {reason}" for reason in self._broken.values())
            raise ConfigError(f"unknown {self.kind} {name!r}{suggest(name, self.names())}{broken}")
        return self._factories[name]

    def make(self, spec: Mapping[str, Any]) -> Any:
        """Call the factory that a table names, with the table's other keys as arguments.

        Args:
            spec: `name`, and the factory's settings.

        Raises:
            ConfigError: no factory has this name, or it does not take these settings.
        """
        settings = dict(spec)
        name = settings.pop("name")
        factory = self.get(name)
        parameters = signature(factory).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            for key in settings:
                if key not in parameters:
                    known = suggest(key, list(parameters))
                    raise ConfigError(f"{self.kind} {name!r}: unknown setting {key!r}{known}")
        for key, value in settings.items():
            if key in parameters and (expected := _number_instead_of(value, parameters[key])):
                raise ConfigError(f"{self.kind} {name!r}: {key} is {value!r}; expected {expected}")
        try:
            return factory(**settings)
        except TypeError as error:
            raise ConfigError(f"{self.kind} {name!r}: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        prefix = f"{self.kind}:"
        for point in entry_points(group=ENTRY_POINT_GROUP):
            name = point.name.removeprefix(prefix)
            if point.name.startswith(prefix) and name not in self._factories and name not in self._declared:
                try:
                    self._factories[name] = point.load()
                except Exception as error:  # a plug-in may raise anything; the others stay usable
                    self._broken[name] = f"{self.kind} {name!r} of {point.value} cannot be loaded: {error!r}"


def _number_instead_of(value: Any, parameter: Parameter) -> str | None:
    """Return which number a parameter takes, if it takes only numbers and the value is none."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    kinds = {part.strip() for part in text.split("|")}
    if not kinds & {"int", "float"} or not kinds <= {"int", "float", "None"}:
        return None
    if isinstance(value, (int, float)) or (value is None and "None" in kinds):
        return None
    return "a number" if "float" in kinds else "a whole number"
