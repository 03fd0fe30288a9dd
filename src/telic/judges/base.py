"""What a judge is: an answer in, a score or a reason for its absence out."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from pydantic import ConfigDict, ValidationError

from telic.errors import JudgeError
from telic.registry import Registry, suggest

__all__ = ["STRICT", "Function", "Judge", "Score", "build", "judge_all", "registry"]

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
"""Configuration of the judges' dataclasses: a number is not taken for a string, nor 1 for true."""


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


@runtime_checkable
class Judge(Protocol):
    """Scores one answer. A judge never raises on an answer: what it cannot decide is missing."""

    def judge(self, answer: str, question: str = "") -> Score:
        """Score `answer`, which was given to `question`."""
        ...


registry: Registry[Callable[..., Any]] = Registry("judge")
"""Judge factories by name.

A factory takes the judge's argument first, its options as keywords, and returns a `Judge` or a plain function of the
answer. A plain function whose first parameter is called `answer` is no factory but the judge itself, switched on by
`{ its_name = true }`."""


@dataclass(frozen=True)
class Function:
    """A plain function of the answer as a judge.

    True and False score 1 and 0, a number in [0, 1] scores itself. A function that raises, or returns something
    else, has not decided: its score is missing.
    """

    function: Callable[..., Any]
    """Called with the answer, and with the question where the second parameter is called `question`."""
    name: str = "function"
    _asks: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_asks", "question" in _parameters(self.function)[1:2])

    def judge(self, answer: str, question: str = "") -> Score:
        """Call the function."""
        try:
            verdict = self.function(answer, question) if self._asks else self.function(answer)
        except Exception as error:  # it is the user's code: anything may come out of it, and one answer is not a run
            return Score.missing(f"{self.name} failed: {error!r}")
        if isinstance(verdict, Score):
            return verdict
        try:
            value = float(verdict)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if isinstance(verdict, str) or not 0 <= value <= 1:
            return Score.missing(f"{self.name} returned {verdict!r}; expected true, false or a number in [0, 1]")
        return Score(value)


def build(spec: Mapping[str, Any]) -> Judge:
    """Make a judge from its form in a purpose file.

    Two forms: `{ contains = "Mia" }` (the judge's name and its argument; further keys are options, as in
    `{ contains = "Mia", case = true }`), and `{ name = "contains", argument = "Mia" }`.

    Raises:
        ConfigError: no judge has this name.
        JudgeError: the argument or an option is not one that the judge takes.
    """
    if not isinstance(spec, Mapping):
        raise JudgeError(f'{spec!r} is not a judge; expected something like {{ contains = "Mia" }}')
    name, arguments, options = _parse(spec)
    factory = registry.get(name)
    if _parameters(factory)[:1] == ["answer"]:
        if arguments != [True]:
            raise JudgeError(f"judge {name!r} takes no argument; write {{ {name} = true }}")
        _bind(name, factory, [""], options)
        return Function(partial(factory, **options) if options else factory, name)
    _bind(name, factory, arguments, options)
    try:
        made = factory(*arguments, **options)
    except ValidationError as error:
        raise JudgeError(f"judge {name!r}: {_explain(error)}") from error
    except (JudgeError, TypeError, ValueError) as error:
        raise JudgeError(f"judge {name!r}: {error}") from error
    if isinstance(made, Judge):
        return made
    if callable(made):
        return Function(made, name)
    raise JudgeError(f"judge {name!r}: its factory returned {made!r}; expected a Judge or a function of the answer")


def judge_all(judge: Judge, items: Sequence[tuple[str, str]]) -> list[Score]:
    """Score many `(answer, question)` pairs, all at once where the judge can (as a model judge does)."""
    batched = getattr(judge, "judge_all", None)
    if batched is not None:
        return list(batched(items))
    return [judge.judge(answer, question) for answer, question in items]


def _parse(spec: Mapping[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """Split a judge's table into its name, its argument (if any) and its options."""
    options = dict(spec)
    if not options:
        raise JudgeError('an empty judge; expected something like { contains = "Mia" }')
    if "name" in options:
        name = options.pop("name")
        if not isinstance(name, str):
            raise JudgeError(f"a judge's name is {name!r}; expected a string")
        return name, [options.pop("argument")] if "argument" in options else [], options
    named = [key for key in options if key in registry]
    if len(named) > 1:
        tables = ", ".join(f"{{ {key} = ... }}" for key in named)
        raise JudgeError(f"several judges in one table; write {{ all_of = [{tables}] }} or any_of")
    name = named[0] if named else next(iter(options))
    return name, [options.pop(name)], options


def _bind(name: str, factory: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Check a call before it is made, so that its error speaks of options and not of Python's parameters."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    known = list(signature.parameters)[1:]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [option for option in options if option not in known]
    if unknown and not open_ended:
        hint = suggest(unknown[0], known) if known else "; it takes none"
        raise JudgeError(f"judge {name!r}: unknown option {unknown[0]!r}{hint}")
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        raise JudgeError(f"judge {name!r}: {error}") from error


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some built-in callables have no signature
        return []


def _explain(error: ValidationError) -> str:
    """Say what was given and what was expected, from a judge dataclass's validation error."""
    first, *others = error.errors()
    if first["type"] == "value_error":  # raised by the judge's own check, in its own words
        return str(first["ctx"]["error"])
    place = str(first["loc"][0]) if first["loc"] else "0"
    place = "argument" if place == "0" else place  # given by position
    messages = [first["msg"], *(other["msg"] for other in others if other["loc"][:1] == first["loc"][:1])]
    if not first["msg"].startswith("Input should be "):
        return f"{place} is {first['input']!r}: {first['msg']}"
    wanted = " or ".join(dict.fromkeys(message.removeprefix("Input should be ") for message in messages))
    wanted = re.sub(r"\ba valid (\w)", lambda hit: ("an " if hit[1] in "aeiou" else "a ") + hit[1], wanted)
    return f"{place} is {first['input']!r}; expected {wanted[0].lower() + wanted[1:]}"
