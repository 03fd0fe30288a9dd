"""Printing for all verbs: results on standard output, notices and progress on standard error, JSON for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from telic.models import Model, Reply
    from telic.runs import RunStart

__all__ = [
    "ProgressBar",
    "RunAnnouncer",
    "load_model",
    "print_json",
    "print_line",
    "print_notice",
    "print_table",
    "progress",
]

PIPED_WIDTH = 1000
"""Width of a table, in characters, where the output is not a terminal: no cell is wrapped."""


def print_line(text: str = "", **style: Any) -> None:
    """Print a line on standard output."""
    _print_plain(Console(highlight=False, soft_wrap=True, emoji=False), text, style)


def print_notice(text: str = "", **style: Any) -> None:
    """Print a line on standard error, so that it does not mix with results."""
    _print_plain(Console(stderr=True, highlight=False, soft_wrap=True, emoji=False), text, style)


def _print_plain(console: Console, text: str, style: dict[str, Any]) -> None:
    console.print(text, markup=False, **style)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table on standard output; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index > 0)
    for row in rows:
        table.add_row(*map(Text, row))  # text, not markup: a name may have brackets in it
    terminal = Console().is_terminal
    Console(highlight=False, width=None if terminal else PIPED_WIDTH).print(table)


class ProgressBar:
    """A progress bar that also shows the tokens generated per second.

    Args:
        display: draws the bar; None draws nothing.
    """

    def __init__(self, display: Progress | None) -> None:
        self._display = display
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self.tokens = 0

    def start(self, total: int) -> None:
        """Show the bar. It is full after `total` steps."""
        self._started = time.monotonic()
        if self._display is not None:
            self._task = self._display.add_task("playing", total=total, rate="")

    def count_tokens(self, reply: Reply) -> None:
        """Add a reply's tokens to the rate."""
        self.tokens += reply.new_tokens
        if self._display is not None and self._task is not None:
            rate = self.tokens / max(time.monotonic() - self._started, 1e-3)
            self._display.update(self._task, rate=f"{rate:.0f} tokens/s")

    def advance(self) -> None:
        """Advance by one step."""
        if self._display is not None and self._task is not None:
            self._display.advance(self._task)

    def __call__(self, reply: Reply) -> None:
        """Count a reply's tokens and advance by one step, where each step is a reply."""
        self.count_tokens(reply)
        self.advance()


class RunAnnouncer:
    """Prints a run's folder when the run starts, and keeps it for the message after an interruption."""

    def __init__(self, *, quiet: bool) -> None:
        self.folder: Path | None = None
        self._quiet = quiet

    def __call__(self, start: RunStart, bar: ProgressBar) -> None:
        """Print the run folder and show the bar."""
        self.folder = start.folder
        if not self._quiet:
            print_notice(
                f"Run folder {start.folder} (after an interruption, continue with --resume {start.folder})", style="dim"
            )
            for text in start.warnings:
                print_notice(text, style="dim")
        bar.start(start.total)


@contextmanager
def progress(what: str = "replies", *, quiet: bool = False) -> Iterator[ProgressBar]:
    """Show a progress bar with throughput and time left on standard error, if that is a terminal.

    Args:
        what: what the bar counts.
        quiet: show nothing.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield ProgressBar(None)
        return
    columns = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(what + " {task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("left"),
    ]  # fmt: skip
    with Progress(*columns, console=console, transient=True) as display:
        yield ProgressBar(display)


def load_model(name: str) -> Model:
    """Load a model, with a spinner meanwhile if standard error is a terminal."""
    from telic.models import load

    console = Console(stderr=True)
    if not console.is_terminal:
        return load(name)
    with console.status(f"loading {name}"):
        return load(name)
