"""Control tokens in what a template writes as JSON: definitions of tools, and arguments of calls.

Where the template puts these texts, and how it writes them, is unknown. So each control token in them is replaced by a
run of one private character of the same length. The run shows where the text lies in the rendering, and is then written
as the control token's characters again, which the encoder knows to be plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from telic.encoding import TextEncoder
from telic.errors import ModelError

__all__ = ["ControlMask"]

_PRIVATE = range(0xE000, 0xF8FF)
"""Characters without a meaning (Unicode's private use area)."""


class ControlMask:
    """Masks control tokens in the values of one dialogue.

    Args:
        encoder: knows the control tokens.
        values: the data that the template writes: texts, and lists and objects of them.
        others: all other texts of the dialogue.
    """

    def __init__(self, encoder: TextEncoder, values: Iterable[Any], others: Iterable[str]) -> None:
        texts = [text for value in values for text in _texts(value)]
        found = sorted({name for text in texts for name in encoder.control_names(text)})
        used = set().union(*texts, *others) if found else set()
        free = (chr(code) for code in _PRIVATE if chr(code) not in used)
        self._characters = dict(zip(found, free, strict=False))
        self._encoder = encoder
        self._names = {character: name for name, character in self._characters.items()}
        runs = (f"{character}{{{len(name)}}}" for character, name in self._names.items())
        self._runs = re.compile("|".join(runs) or r"(?!)")

    def mask(self, value: Any) -> Any:
        """Return a value with its control tokens masked.

        Raises:
            ModelError: the tokenizer finds a control token in another form than its name.
        """
        if isinstance(value, str):
            for name, character in self._characters.items():
                value = value.replace(name, character * len(name))
            if control := self._encoder.find_control(value):
                raise ModelError(f"a tool's text holds the control token {control!r}; remove it", "template_refusal")
            return value
        if isinstance(value, dict):
            return {self.mask(key): self.mask(one) for key, one in value.items()}
        return [self.mask(one) for one in value] if isinstance(value, list) else value

    def unmask(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """Return a rendering with the control tokens in place, and their characters [start, end)."""
        ranges = [run.span() for run in self._runs.finditer(text)]
        return self._runs.sub(lambda run: self._names[run[0][0]], text), ranges


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
