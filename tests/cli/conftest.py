"""Running verbs: in this process where that will do, in another one where it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from telic.cli.main import main

PURPOSE = """\
name = "travel"
model = "fake"
system = "You are Mia, a travel agent."

[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


@dataclass
class Outcome:
    """How a verb ended."""

    status: int
    out: str
    error: str


Run = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a verb in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        status = 0
        capfd.readouterr()
        try:
            main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        out, error = capfd.readouterr()
        return Outcome(status, out, error)

    return call


@pytest.fixture
def travel(tmp_path: Path) -> Path:
    """A purpose file in the folder in which verbs run."""
    path = tmp_path / "travel.toml"
    path.write_text(PURPOSE)
    return path


SLOW = """
import pathlib
import signal
import sys
# Where the tests run in the background of a shell, an interruption is ignored by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
import telic.models as models
from telic.cli.main import main


class SlowModel(models.FakeModel):
    def stream(self, request):
        pathlib.Path("{replying}").touch()
        return super().stream(request)


models.load = lambda name: SlowModel(drift=0.2, delay={delay})
main(sys.argv[1:])
"""
REPLYING = "replying"
"""File that appears in the folder of a verb that `start` has started, when its model streams a reply."""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a verb in a process of its own, on a fake model that takes its time."""

    def call(*arguments: str, delay: float = 0.01) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", SLOW.format(delay=delay, replying=REPLYING), *arguments],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call
