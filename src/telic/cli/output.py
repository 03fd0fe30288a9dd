"""Printing for all verbs: results on standard output, notices on standard error, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from telic.terminal import printable

if TYPE_CHECKING:
    from pathlib import Path

    from telic.models import Model
    from telic.progress import Shortfall
    from telic.purpose import Purpose

__all__ = ["load_model", "print_json", "print_line", "print_notice", "print_shortfall", "print_table"]

PIPED_WIDTH = 1000
"""Width of a table, in characters, where the output is not a terminal: no cell is wrapped."""


def print_line(text: str = "", **style: Any) -> None:
    """Print a line on standard output."""
    _print_plain(Console(highlight=False, soft_wrap=True, emoji=False), text, style)


def print_notice(text: str = "", **style: Any) -> None:
    """Print a line on standard error, so that it does not mix with results."""
    _print_plain(Console(stderr=True, highlight=False, soft_wrap=True, emoji=False), text, style)


def _print_plain(console: Console, text: str, style: dict[str, Any]) -> None:
    console.print(printable(text), markup=False, **style)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table on standard output; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(
            printable(column), justify="left" if index == 0 else "right", overflow="fold", no_wrap=index > 0
        )
    for row in rows:
        table.add_row(*map(Text, map(printable, row)))  # text, not markup: a name may have brackets in it
    terminal = Console().is_terminal
    Console(highlight=False, width=None if terminal else PIPED_WIDTH).print(table)


def print_shortfall(shortfall: Shortfall | None, folder: Path | None) -> None:
    """Say what a time limit left to be played, if anything, and how to play it."""
    if shortfall is not None:
        print_line(f"{shortfall}. To play the rest, continue with --resume {folder}.")


def load_model(source: str | Purpose, adapter: str | None = None, **local: Any) -> Model:
    """Load a model, with a spinner meanwhile if standard error is a terminal.

    Args:
        source: the model, or a purpose, which may name an adapter of its model too.
        adapter: folder of another adapter.
        **local: options of `LocalModel`; a model that does not run in this process is loaded without them.
    """
    from telic.models import load
    from telic.models.catalog import locate

    name = source if isinstance(source, str) else source.model
    options = {} if locate(name)[0] in ("built-in", "endpoint") else dict(local)
    if adapter is not None:
        options["adapter"] = adapter
    given = name if isinstance(source, str) or (source.adapter is None and source.vllm is None) else source
    console = Console(stderr=True)
    if not console.is_terminal:
        return load(given, **options)
    with console.status(f"loading {name}"):
        return load(given, **options)
