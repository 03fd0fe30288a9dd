"""What all verbs print: tables and progress for people on standard error and output, JSON for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from telic.models import Model, Reply

__all__ = ["Ticker", "load_model", "print_json", "print_table", "progress", "say"]


def say(text: str = "", **style: Any) -> None:
    """Print a line on standard output."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False, **style)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table on standard output; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


class Ticker:
    """Hears of replies and moves the bar; keeps the tokens generated per second."""

    def __init__(self, bar: Progress | None, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("playing", total=total, rate="") if bar else None
        self._start = time.monotonic()
        self.tokens = 0

    def __call__(self, reply: Reply) -> None:
        """Count one reply."""
        self.tokens += reply.new_tokens
        if self._bar is not None and self._task is not None:
            rate = self.tokens / max(time.monotonic() - self._start, 1e-3)
            self._bar.update(self._task, advance=1, rate=f"{rate:.0f} tokens/s")


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Ticker]:
    """A progress bar with throughput and time left, on standard error; none where that is not a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Ticker(None, total)
        return
    columns = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("replies {task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("left"),
    ]  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        yield Ticker(bar, total)


def load_model(name: str) -> Model:
    """Load a model, and say so while it takes a while."""
    from telic.models import load

    console = Console(stderr=True)
    if not console.is_terminal:
        return load(name)
    with console.status(f"loading {name}"):
        return load(name)
