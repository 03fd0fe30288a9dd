"""What a chat looks like: with names, colours and line editing in a terminal, and only the replies elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress

from rich.console import Console
from rich.text import Text

__all__ = ["PlainView", "TerminalView"]

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

    def begin(self) -> None:
        """Show who replies."""
        self._console.print(Text(f"{self._name}> ", style=REPLY), end="")
