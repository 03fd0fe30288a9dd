"""Controls on the command line: `hold`, `split_softmax:k=0.8`, `reminder:every=2,probability=0.5`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telic.cli.usage import UsageError
from telic.errors import ConfigError

if TYPE_CHECKING:
    from telic.models import Control

__all__ = ["parse_controls"]


def parse_controls(texts: Sequence[str]) -> tuple[Control, ...] | None:
    """Make controls; None where nothing was asked for, which leaves the purpose its own.

    Raises:
        UsageError: a text is not a control.
    """
    from telic.steering import build

    if not texts:
        return None
    if list(texts) == ["none"]:
        return ()
    made = []
    for text in texts:
        name, _, settings = text.partition(":")
        try:
            made.append(build({"name": name, **_settings(settings)}))
        except (ConfigError, ValueError) as error:
            raise UsageError(f"--controls {text!r}: {error}; expected a form such as split_softmax:k=0.8") from None
    return tuple(made)


def _settings(text: str) -> dict[str, Any]:
    settings = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} has no '='")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = value  # a word without quotation marks
    return settings
