"""Settings: a config model that reports all wrong values at once, with the nearest known name."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["Settings", "changed_fields", "expected_value"]


class Settings(BaseModel):
    """The base of a verb's settings: immutable, without unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """Make settings from keyword arguments.

        Raises:
            ConfigError: some values are wrong; the message names each, what was found and what was expected.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError("; ".join(_problems(error, list(cls.model_fields)))) from None


def expected_value(error: ErrorDetails) -> str:
    """Return what a field expected, by an error of pydantic: `a number greater than or equal to 0`."""
    expected = error["msg"].removeprefix("Input should be ")
    return f"a number {expected}" if error["type"].startswith(("greater", "less")) else expected


def changed_fields(settings: object) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their defaults; none of any other object."""
    own: tuple[Field[Any], ...] = fields(settings) if is_dataclass(settings) else ()
    values = {one.name: getattr(settings, one.name) for one in own if one.init}
    return {one.name: values[one.name] for one in own if one.init and values[one.name] != _default(one)}


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _problems(error: ValidationError, known: list[str]) -> list[str]:
    problems = []
    for one in error.errors(include_url=False):
        name = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            problems.append(f"unknown setting {name!r}{suggest(name, known)}")
        else:
            problems.append(f"{name} is {one['input']!r}; expected {expected_value(one)}")
    return problems
