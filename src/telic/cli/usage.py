"""How a verb ends when it does not succeed: wrong options, or an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from telic.errors import TelicError
from telic.settings import expected_value

__all__ = ["CheckedOptions", "Interrupted", "UsageError"]


class UsageError(TelicError):
    """An option has a wrong value. It is no `ValueError`, because tyro would draw a box around the message."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message that says what was kept and how to resume."""


class CheckedOptions(BaseModel):
    """A mixin for config models that reports wrong values as command-line options."""

    if not TYPE_CHECKING:  # type checkers see the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise UsageError("; ".join(map(_explain_option, error.errors(include_url=False)))) from None


def _explain_option(error: ErrorDetails) -> str:
    option = "--" + "-".join(map(str, error["loc"])).replace("_", "-")
    return f"{option} is {error['input']!r}; expected {expected_value(error)}"
