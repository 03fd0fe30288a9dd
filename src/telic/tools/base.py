"""A tool, and how a call of it is carried out: arguments checked, time and output bounded, errors as text."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telic.dialogue import Message, ToolCall, ToolDefinition

__all__ = ["MAX_CHARACTERS", "TIMEOUT", "Tool", "ToolError", "error_message"]

TIMEOUT = 30.0
"""Default of the seconds after which a call counts as failed."""
MAX_CHARACTERS = 8000
"""Default of the longest result; the model reads all of it."""


class ToolError(Exception):
    """A call failed. The message is for the model: what was wrong, and what it may do instead."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call."""

    definition: ToolDefinition
    """What the model is told of it."""
    function: Callable[[dict[str, Any]], str]
    """Takes the arguments and returns the result. Whatever it raises is told to the model."""
    confirm: bool = False
    """Whether a person must agree to each call."""
    timeout: float = TIMEOUT
    """Seconds after which a call counts as failed. Its thread cannot be ended, and goes on in the background."""
    max_characters: int = MAX_CHARACTERS
    """Longest result; a longer one is cut, and says so."""

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.definition.name

    def call(self, call: ToolCall) -> Message:
        """Carry out a call. Whatever goes wrong becomes the result: the model can mend it, the dialogue goes on."""
        try:
            content = self._within_time(call.parsed())
        except (ToolError, ValueError) as error:
            return error_message(call, str(error))
        except (Exception, SystemExit) as error:  # a tool may raise anything
            return error_message(call, f"{self.name} failed: {type(error).__name__}: {error}")
        over = len(content) - self.max_characters
        if over > 0:
            content = f"{content[: self.max_characters]}\n[cut here: {over} more characters]"
        return _result(call, content)

    def _within_time(self, arguments: dict[str, Any]) -> str:
        done: list[str | BaseException] = []

        def run() -> None:
            try:
                done.append(self.function(arguments))
            except BaseException as error:  # raised where the result is waited for
                done.append(error)

        thread = threading.Thread(target=run, name=f"telic-tool-{self.name}", daemon=True)
        thread.start()
        thread.join(self.timeout)
        if not done:
            raise ToolError(f"{self.name} did not answer within {self.timeout:g} s")
        if isinstance(done[0], BaseException):
            raise done[0]
        return done[0]


def error_message(call: ToolCall, text: str) -> Message:
    """Make the result of a call that failed."""
    return _result(call, f"error: {text}")


def _result(call: ToolCall, text: str) -> Message:
    # No tokenizer and no store takes half of a surrogate pair.
    return Message(role="tool", content=_SURROGATE.sub("\ufffd", text), tool_call_id=call.id)


_SURROGATE = re.compile("[\ud800-\udfff]")
