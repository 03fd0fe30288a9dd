"""What a chat looks like: with names, colours and line editing in a terminal, and only the replies elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from telic.dialogue import Message, ToolCall
from telic.terminal import printable

if TYPE_CHECKING:
    from telic.tools import Tool

__all__ = ["PlainView", "TerminalView"]

SHOWN = 200
"""Characters of a call or a result that are shown."""

USER, REPLY = "\033[1;36m", "bold green"
"""Colours of the names: cyan and green."""


class PlainView:
    """Lines in, replies out."""

    def read(self) -> str:
        """Return the next line.

        Raises:
            EOFError: the input has ended.
        """
        return input()

    def begin(self) -> None:
        """Begin a reply."""

    def write(self, piece: str) -> None:
        """Show a piece of a reply."""
        sys.stdout.write(piece)
        sys.stdout.flush()

    def show_tool(self, message: Message) -> None:
        """Show a call of a tool, or its result."""

    def end(self) -> None:
        """End a reply."""
        self.write("\n")


class TerminalView(PlainView):
    """A chat in a terminal. Ctrl-C at the prompt clears the line, so that it never ends a chat by accident.

    Args:
        name: what the chatbot is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(highlight=False)
        with suppress(ImportError):  # `input` edits lines with it, and recalls them; Windows has none
            import readline

            readline.set_auto_history(True)

    def read(self) -> str:
        """Read a line with line editing and history."""
        colours = not self._console.no_color
        # The marks tell readline which characters take no space.
        prompt = f"\001{USER}\002you>\001\033[0m\002 " if colours else "you> "
        while True:
            try:
                return input(prompt)
            except KeyboardInterrupt:
                self.write("\n(/quit or Ctrl-D ends the chat)\n")

    def show_tool(self, message: Message) -> None:
        """Show a call of a tool, or its result, in dim lines of their own."""
        lines = [f"calls {_beginning(f'{call.name} {call.arguments}')}" for call in message.tool_calls]
        if message.role == "tool":
            lines = [f"gets {_beginning(message.content)}"]
        for line in lines:
            self._console.print(Text(f"\n  {line}", style="dim"), end="" if message.tool_calls else "\n  ")

    def confirm(self, tool: Tool, call: ToolCall) -> bool:
        """Ask whether a tool may be called, with all of its arguments; anything but a yes is a no."""
        asked = f"\n  May it call {tool.name} {_line(call.arguments)}? [y/N] "
        self._console.print(Text(asked, style="bold"), end="")
        try:
            return input().strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def begin(self) -> None:
        """Show who replies."""
        self._console.print(Text(f"{self._name}> ", style=REPLY), end="")


def _line(text: str) -> str:
    """Return a text on one line and without control characters."""
    return " ".join(printable(text).split())


def _beginning(text: str) -> str:
    line = _line(text)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
