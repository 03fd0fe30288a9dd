"""Showing progress on standard error: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from telic.progress.report import ProgressReport, duration
from telic.terminal import printable

__all__ = ["ProgressDisplay"]

FIRST, EVERY = 5.0, 30.0
"""Seconds before the first line, and between two lines."""


class ProgressDisplay:
    """Shows the reports of a run on standard error, as a context: a bar in a terminal, else a line now and then.

    Args:
        quiet: show nothing. `folder` is set all the same.
        counts: show how far the run has come; else only notices.
        console: where it is shown; by default standard error.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        counts: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder: Path | None = None
        """The run folder, once there is one."""
        self._quiet, self._counts, self._clock = quiet, counts and not quiet, clock
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._bar: Progress | None = None
        self._task: tuple[str, TaskID] | None = None
        """The phase that the bar shows, and its number there."""
        self._next_line = clock() + FIRST

    def __enter__(self) -> Self:
        if self._console.is_terminal and self._counts:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rest]}"),
                console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, report: ProgressReport) -> None:
        """Show a report, or part of it."""
        if report.folder is not None and report.folder != self.folder:
            self.folder = report.folder
            self._print(f"Run folder {self.folder} (after an interruption, continue with --resume {self.folder})")
        for sentence in report.notices:
            self._print(sentence)
        if not (self._counts and report.phase):
            return
        if self._bar is not None:
            self._move(self._bar, report)
        elif self._clock() >= self._next_line:
            self._next_line = self._clock() + EVERY
            self._print(_line(report))

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._console.print(printable(text), markup=False, style="dim")

    def _move(self, bar: Progress, report: ProgressReport) -> None:
        rest = ", ".join([report.unit, *_rate(report), *_left(report)])
        if self._task is not None and self._task[0] == report.phase:
            bar.update(self._task[1], completed=report.done, total=report.total, rest=rest)
            return
        if self._task is not None:
            bar.remove_task(self._task[1])
        number = bar.add_task(report.phase, completed=report.done, total=report.total, rest=rest)
        self._task = report.phase, number


def _line(report: ProgressReport) -> str:
    done = f"{report.done} {report.unit}" if report.total is None else f"{report.done} of {report.total} {report.unit}"
    return ", ".join([f"{report.phase}: {done}", *_rate(report), *_left(report)])


def _rate(report: ProgressReport) -> list[str]:
    """The tokens per second, or else the units per minute."""
    if report.seconds < 1 or not report.done:
        return []
    if report.tokens:
        return [f"{report.tokens / report.seconds:.0f} tokens/s"]
    return [f"{60 * report.done / report.seconds:.0f} a minute"]


def _left(report: ProgressReport) -> list[str]:
    return [] if report.left is None else [f"about {duration(report.left)} left"]
