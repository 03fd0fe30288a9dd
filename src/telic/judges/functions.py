"""The user's own functions as judges (`telic.user_code` says which may be called)."""

from __future__ import annotations

from typing import Any

from telic.errors import ConfigError, JudgeError
from telic.judges.base import FunctionJudge, Judge, registry, trusted_folder
from telic.user_code import load_function

__all__ = ["callable_judge"]


@registry.register("callable")
def callable_judge(argument: str, **options: Any) -> Judge:
    """The user's own function: `{ callable = "module:function" }`.

    The function takes the answer (and the question, if its second parameter is called `question`) and returns true,
    false or a number in [0, 1]. With options, or if it is a class, it is a factory: called with the options, it
    returns a `Judge` or such a function.

    Raises:
        JudgeError: no installed package declares the function as a judge, and the file is not trusted; or there is no
            such function.
    """
    try:
        found = load_function(argument, "judge", trusted_folder())
    except ConfigError as error:
        raise JudgeError(str(error)) from error
    made = found(**options) if options or isinstance(found, type) else found
    if isinstance(made, Judge):
        return made
    if not callable(made):
        raise JudgeError(f"{argument!r} is {made!r}; expected a function of the answer or a Judge")
    return FunctionJudge(made, argument)
