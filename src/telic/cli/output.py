"""What all verbs print: results on standard output, notices and progress on standard error, JSON for scripts."""

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

__all__ = ["Started", "Ticker", "load_model", "note", "print_json", "print_table", "progress", "say"]

WIDE = 1000
"""Columns of a table that is not shown in a terminal: no cell is wrapped."""


def say(text: str = "", **style: Any) -> None:
    """Print a line on standard output."""
    _line(Console(highlight=False, soft_wrap=True, emoji=False), text, style)


def note(text: str = "", **style: Any) -> None:
    """Print a notice on standard error, out of the way of results."""
    _line(Console(stderr=True, highlight=False, soft_wrap=True, emoji=False), text, style)


def _line(console: Console, text: str, style: dict[str, Any]) -> None:
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
    Console(highlight=False, width=None if terminal else WIDE).print(table)


class Ticker:
    """Moves the bar, and keeps the tokens generated per second."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._start = time.monotonic()
        self.tokens = 0

    def begin(self, total: int) -> None:
        """Show the bar: so much is to come."""
        self._start = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task("playing", total=total, rate="")

    def hear(self, reply: Reply) -> None:
        """Count a reply's tokens."""
        self.tokens += reply.new_tokens
        if self._bar is not None and self._task is not None:
            rate = self.tokens / max(time.monotonic() - self._start, 1e-3)
            self._bar.update(self._task, rate=f"{rate:.0f} tokens/s")

    def advance(self) -> None:
        """Move on by one."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def __call__(self, reply: Reply) -> None:
        """Hear of a reply where replies are what the bar counts."""
        self.hear(reply)
        self.advance()


class Started:
    """Announces a run, and remembers its folder for whoever interrupts it."""

    def __init__(self, *, quiet: bool) -> None:
        self.folder: Path | None = None
        self._quiet = quiet

    def __call__(self, start: RunStart, ticker: Ticker) -> None:
        """Name the run folder, and show the bar."""
        self.folder = start.folder
        if not self._quiet:
            note(f"Run folder {start.folder} (after an interruption, go on with --resume {start.folder})", style="dim")
            for text in start.warnings:
                note(text, style="dim")
        ticker.begin(start.total)


@contextmanager
def progress(what: str = "replies", *, quiet: bool = False) -> Iterator[Ticker]:
    """A progress bar with throughput and time left, on standard error; none where that is not a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Ticker(None)
        return
    columns = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(what + " {task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("left"),
    ]  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        yield Ticker(bar)


def load_model(name: str) -> Model:
    """Load a model, and say so while it takes a while."""
    from telic.models import load

    console = Console(stderr=True)
    if not console.is_terminal:
        return load(name)
    with console.status(f"loading {name}"):
        return load(name)
