"""What a judge is: an answer in, a score or a reason for its absence out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from telic.errors import JudgeError
from telic.registry import Registry

__all__ = ["Judge", "Score", "build", "registry"]


@dataclass(frozen=True, slots=True)
class Score:
    """A value in [0, 1], or a missing one with its reason; never a silent zero."""

    value: float | None
    reason: str = ""

    @classmethod
    def of(cls, passed: bool, reason: str = "") -> Score:
        """1 or 0."""
        return cls(1.0 if passed else 0.0, reason)

    @classmethod
    def missing(cls, reason: str) -> Score:
        """No score, and why."""
        return cls(None, reason)


class Judge(Protocol):
    """Scores one answer."""

    def judge(self, answer: str, question: str = "") -> Score:
        """Score `answer`, which was given to `question`."""
        ...


registry: Registry[Callable[..., Judge]] = Registry("judge")
"""Judge factories by name. A factory takes the judge's argument first, its options as keywords."""


def build(spec: Mapping[str, Any]) -> Judge:
    """Make a judge from its form in a purpose file.

    Two forms: `{ contains = "Mia" }` (the judge's name and its argument; further keys are options, as in
    `{ contains = "Mia", case = true }`), and `{ name = "contains", argument = "Mia" }`.

    Raises:
        ConfigError: no judge has this name.
        JudgeError: the argument or an option is not one that the judge takes.
    """
    options = dict(spec)
    if "name" in options:
        name = options.pop("name")
        arguments = [options.pop("argument")] if "argument" in options else []
    else:
        if not options:
            raise JudgeError("an empty judge; expected something like { contains = \"Mia\" }")
        name = next((key for key in options if key in registry), next(iter(options)))
        arguments = [options.pop(name)]
    factory = registry.get(name)
    try:
        return factory(*arguments, **options)
    except TypeError as error:
        raise JudgeError(f"judge {name!r}: {error}") from error
