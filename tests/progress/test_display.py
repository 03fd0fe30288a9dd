"""What is shown on standard error: a bar in a terminal, a line now and then elsewhere, nothing if that is asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import telic
from telic.models import FakeModel
from telic.progress import ProgressDisplay, ProgressReport
from telic.purpose import Purpose
from tests.timed import Clock

REPORT = ProgressReport("tuning", 30, 120, "replies", 300, 10.0, 400.0, None)


def shown(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=200, highlight=False, soft_wrap=True), text


def test_lines_come_now_and_then() -> None:
    console, text = shown()
    clock = Clock()
    with ProgressDisplay(console=console, clock=clock) as display:
        for _ in range(100):
            display(REPORT)
            clock.now += 1
    lines = text.getvalue().splitlines()
    assert lines == ["tuning: 30 of 120 replies, 30 tokens/s, about 7 min left"] * 4


def test_a_short_run_shows_nothing_but_its_folder_and_what_it_has_to_say() -> None:
    console, text = shown()
    with ProgressDisplay(console=console, clock=Clock()) as display:
        display(replace(REPORT, phase="", folder=Path("runs/one"), notices=("versions [changed]",)))
        display(replace(REPORT, folder=Path("runs/one")))
    first, second = text.getvalue().splitlines()
    assert first == "Run folder runs/one (after an interruption, continue with --resume runs/one)"
    assert second == "versions [changed]"


def test_without_tokens_the_rate_is_of_units_and_without_a_total_there_is_none() -> None:
    console, text = shown()
    clock = Clock()
    with ProgressDisplay(console=console, clock=clock) as display:
        clock.now += 6
        display(replace(REPORT, tokens=0, total=None, left=None))
    assert text.getvalue() == "tuning: 30 replies, 180 a minute\n"


def test_a_terminal_shows_a_bar_with_the_phase_and_the_time_left() -> None:
    console, text = shown(terminal=True)
    with ProgressDisplay(console=console) as display:
        display(REPORT)
        display(replace(REPORT, phase="comparing", done=119, left=3.0))
    assert "30/120" in text.getvalue()
    assert "about 7 min left" in text.getvalue()
    assert "comparing" in text.getvalue()
    assert "about 3 s left" in text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_means_nothing_at_all(terminal: bool) -> None:
    console, text = shown(terminal=terminal)
    clock = Clock()
    with ProgressDisplay(quiet=True, console=console, clock=clock) as display:
        clock.now += 60
        display(replace(REPORT, folder=Path("runs/one"), notices=("a warning",)))
    assert text.getvalue() == ""
    assert display.folder == Path("runs/one"), "an interruption names it all the same"


def test_a_call_shows_its_progress_if_it_is_asked_to(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    purpose = Purpose.from_text(
        'name = "t"\nsystem = "You are Mia."\n[[probes]]\nask = "Who?"\njudge = { contains = "Mia" }', "t.toml"
    )
    settings: dict[str, Any] = {"rounds": 1, "dialogues": 2, "resamples": 100}
    telic.measure(FakeModel(), purpose, folder=tmp_path, **settings)
    assert capfd.readouterr() == ("", "")
    run = telic.measure(FakeModel(), purpose, folder=tmp_path, progress=True, **settings)
    out, error = capfd.readouterr()
    assert out == ""
    assert f"Run folder {run.folder}" in error
