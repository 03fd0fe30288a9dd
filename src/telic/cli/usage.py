"""How a verb ends other than well: wrong usage, an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from telic.errors import TelicError

__all__ = ["Checked", "Interrupted", "UsageError", "how_to_resume"]


class UsageError(TelicError):
    """Options have values that they cannot have. No `ValueError`, lest tyro draws a box around its message."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message on what is kept and how to go on."""


def how_to_resume(folder: Path | None) -> str:
    """What to say of an interrupted run."""
    if folder is None:
        return "nothing was played yet"
    return f"the dialogues that had ended are kept. To go on, add --resume {folder} to the same command"


class Checked(BaseModel):
    """Mixed into a config model, it reports wrong values as options of the command line."""

    if not TYPE_CHECKING:  # type checkers shall see the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise UsageError("; ".join(map(_explained, error.errors(include_url=False)))) from None


def _explained(error: Any) -> str:
    option = "--" + "-".join(map(str, error["loc"])).replace("_", "-")
    return f"{option} is {error['input']!r}; expected {error['msg'].removeprefix('Input should be ')}"
