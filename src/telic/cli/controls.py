"""Controls on the command line: `attention_hold`, `split_softmax:k=0.8`, `reminder:every=2,probability=0.5`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from telic.cli.usage import UsageError
from telic.errors import ConfigError
from telic.registry import parse_spec

if TYPE_CHECKING:
    from telic.models import Control

__all__ = ["parse_controls"]


def parse_controls(texts: Sequence[str]) -> tuple[Control, ...] | None:
    """Build the controls of `--controls`.

    Returns:
        The controls; `()` for `none`; None if there are no texts, so that the purpose's own controls apply.

    Raises:
        UsageError: a text does not name a control, or has wrong settings.
    """
    from telic.steering import build_control

    if not texts:
        return None
    if list(texts) == ["none"]:
        return ()
    made = []
    for text in texts:
        try:
            made.append(build_control(parse_spec(text)))
        except ConfigError as error:
            raise UsageError(f"--controls {text!r}: {error}{_advice(text)}") from None
    return tuple(made)


def _advice(text: str) -> str:
    if text.endswith(".toml"):  # `--controls` takes all words that follow it
        return f". Write {text} before --controls"
    return ". Write a control as NAME or NAME:KEY=VALUE, such as split_softmax:k=0.8"
