"""The interface of judges: score an answer, or say why there is no score."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import ConfigDict, ValidationError

from telic.errors import JudgeError
from telic.registry import Registry, suggest

if TYPE_CHECKING:
    from telic.models.base import Model
    from telic.models.requesting import RequestGenerator

__all__ = [
    "STRICT",
    "BatchJudge",
    "CombinedJudge",
    "FunctionJudge",
    "Judge",
    "NeedsModel",
    "RequestingJudge",
    "Score",
    "build_judge",
    "judge_all",
    "judge_models",
    "model_judges",
    "prepare_judge",
    "registry",
    "scoring",
    "trusted_folder",
]

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
"""Configuration of the judges' dataclasses: a number is not taken for a string, nor 1 for true."""


@dataclass(frozen=True, slots=True)
class Score:
    """A value in [0, 1], or a missing one with its reason; never a silent zero."""

    value: float | None
    reason: str = ""
    failed: bool = False
    """Whether the score is missing because the judge failed, and not because it could not decide."""

    @classmethod
    def of(cls, passed: bool, reason: str = "") -> Score:
        """1 or 0."""
        return cls(1.0 if passed else 0.0, reason)

    @classmethod
    def missing(cls, reason: str, *, failed: bool = False) -> Score:
        """No score, and why; `failed` if the judge did not work."""
        return cls(None, reason, failed)


@runtime_checkable
class Judge(Protocol):
    """Scores one answer. A judge never raises on an answer: a score that it cannot decide is missing."""

    def judge(self, answer: str, question: str = "") -> Score:
        """Score `answer`, which was given to `question`."""
        ...


@runtime_checkable
class BatchJudge(Judge, Protocol):
    """A judge that scores many answers at once, as one that asks a model does."""

    def judge_all(self, items: Sequence[tuple[str, str]]) -> list[Score]:
        """Score `(answer, question)` pairs, in their order."""
        ...


@runtime_checkable
class CombinedJudge(Judge, Protocol):
    """A judge that combines the scores of other judges."""

    @property
    def judges(self) -> Sequence[Judge]:
        """The judges whose scores are combined."""
        ...


@runtime_checkable
class NeedsModel(Judge, Protocol):
    """A judge that asks a model, which it loads by its name before the first answer."""

    def prepare(self, loaded: Model) -> None:
        """Load the judge's model, or take `loaded` if that is the one: no weights are kept twice.

        Raises:
            ModelError: the model cannot be loaded.
        """
        ...


@runtime_checkable
class RequestingJudge(Judge, Protocol):
    """A judge that asks models, and can leave it to others when they answer."""

    def scoring(self, answer: str, question: str = "") -> RequestGenerator[Score]:
        """Score one answer: yield the requests to models, receive their replies."""
        ...

    def models(self) -> list[Model]:
        """Return the models that it asks; those given by name are loaded."""
        ...


registry: Registry[Callable[..., Any]] = Registry("judge")
"""Judge factories by name.

A factory takes the judge's argument first and its options as keywords. It returns a `Judge` or a plain function of the
answer. A plain function whose first parameter is called `answer` is not a factory but the judge itself; a purpose file
writes it as `{ its_name = true }`."""


@dataclass(frozen=True)
class FunctionJudge:
    """A plain function of the answer as a judge.

    True and False score 1 and 0, a number in [0, 1] scores itself. If the function raises, or returns anything else,
    the score is missing.
    """

    function: Callable[..., Any]
    """Called with the answer, and with the question if the second parameter is called `question`."""
    name: str = "function"
    _takes_question: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_takes_question", "question" in _parameters(self.function)[1:2])

    def judge(self, answer: str, question: str = "") -> Score:
        """Call the function."""
        try:
            verdict = self.function(answer, question) if self._takes_question else self.function(answer)
        except Exception as error:  # the user's code may raise anything, and must not end the run
            return Score.missing(f"{self.name} failed: {error!r}", failed=True)
        if isinstance(verdict, Score):
            return verdict
        try:
            value = float(verdict)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if isinstance(verdict, str) or not 0 <= value <= 1:
            return Score.missing(f"{self.name} returned {verdict!r}; expected true, false or a number in [0, 1]")
        return Score(value)


_trusted: ContextVar[Path | None] = ContextVar("telic_trusted", default=None)


def trusted_folder() -> Path | None:
    """The folder whose functions may be called by the judge that is being made; None if none may."""
    return _trusted.get()


def build_judge(spec: Mapping[str, Any], *, trusted: Path | None = None) -> Judge:
    """Make a judge from its form in a purpose file.

    Two forms: `{ contains = "Mia" }` (the judge's name and its argument; further keys are options, as in
    `{ contains = "Mia", case = true }`), and `{ name = "contains", argument = "Mia" }`.

    Args:
        spec: the judge's table.
        trusted: a folder whose functions the judge, and the judges that it combines, may call.

    Raises:
        ConfigError: no judge has this name.
        JudgeError: the judge does not take the argument or an option.
    """
    if trusted is None:
        return _build(spec)
    before = _trusted.set(trusted)
    try:
        return _build(spec)
    finally:
        _trusted.reset(before)


def _build(spec: Mapping[str, Any]) -> Judge:
    if not isinstance(spec, Mapping):
        raise JudgeError(f'{spec!r} is not a judge; expected a table such as {{ contains = "Mia" }}')
    name, arguments, options = _parse(spec)
    factory = registry.get(name)
    if _parameters(factory)[:1] == ["answer"]:
        if arguments != [True]:
            raise JudgeError(f"judge {name!r} takes no argument; write {{ {name} = true }}")
        _bind(name, factory, [""], options)
        return FunctionJudge(partial(factory, **options) if options else factory, name)
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
        return FunctionJudge(made, name)
    raise JudgeError(f"judge {name!r}: its factory returned {made!r}; expected a Judge or a function of the answer")


def judge_all(judge: Judge, items: Sequence[tuple[str, str]]) -> list[Score]:
    """Score many `(answer, question)` pairs, all at once if the judge is a `BatchJudge`."""
    if isinstance(judge, BatchJudge):
        return list(judge.judge_all(items))
    return [judge.judge(answer, question) for answer, question in items]


def scoring(judge: Judge, answer: str, question: str = "") -> RequestGenerator[Score]:
    """Score one answer, as a generator that yields the requests to the judge's models; a rule makes none."""
    if isinstance(judge, RequestingJudge):
        return (yield from judge.scoring(answer, question))
    return judge.judge(answer, question)


def judge_models(judge: Judge) -> list[Model]:
    """Return the models that `scoring` asks, those given by name loaded; none for a rule.

    Raises:
        ModelError: one cannot be loaded.
    """
    return judge.models() if isinstance(judge, RequestingJudge) else []


def model_judges(judge: Judge) -> list[BatchJudge]:
    """List the judges that ask a model: the judge itself, or those that it combines.

    A judge that takes many answers at once counts as one that asks a model, since a rule gains nothing from a batch. A
    combined judge takes many answers at once too, but asks a model only if one of its judges does.
    """
    if isinstance(judge, CombinedJudge):
        return [asking for part in judge.judges for asking in model_judges(part)]
    return [judge] if isinstance(judge, BatchJudge) else []


def prepare_judge(judge: Judge, loaded: Model) -> None:
    """Let a judge, or the judges that it combines, load the models that they ask before the first answer.

    Args:
        judge: any judge; one that asks no model is left alone.
        loaded: a model that is loaded already, which a judge with the same model shares.

    Raises:
        ModelError: a judge's model cannot be loaded.
    """
    if isinstance(judge, CombinedJudge):
        for part in judge.judges:
            prepare_judge(part, loaded)
    elif isinstance(judge, NeedsModel):
        judge.prepare(loaded)


def _parse(spec: Mapping[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """Split a judge's table into its name, its argument (if any) and its options."""
    options = dict(spec)
    if not options:
        raise JudgeError('an empty judge; expected a table such as { contains = "Mia" }')
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
    """Check a call before it is made, so that its error names options instead of Python's parameters."""
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
