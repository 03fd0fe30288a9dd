"""Settings: a config model that reports all wrong values at once, with the nearest known name."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["Settings"]


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


def _problems(error: ValidationError, known: list[str]) -> list[str]:
    problems = []
    for one in error.errors(include_url=False):
        name = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            problems.append(f"unknown setting {name!r}{suggest(name, known)}")
        else:
            problems.append(f"{name} is {one['input']!r}; expected {one['msg'].removeprefix('Input should be ')}")
    return problems
