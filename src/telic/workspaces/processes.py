"""Running a process within limits of time, output and memory, and ending its whole tree."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import psutil

__all__ = ["ProcessResult", "RunLimits", "Stopped", "run_within_limits"]

Stopped = Literal["time", "output", "memory"]
"""The limit at which a process was killed."""

READ_BYTES = 1 << 16
TICK = 0.05
"""Seconds between two looks at the clock and at whether the process has ended."""
MEMORY_TICK = 0.25
"""Seconds between two looks at the memory of the process tree."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use."""

    seconds: float = 120.0
    """Wall time."""
    cpu_seconds: int = 120
    """CPU time of each process."""
    memory_bytes: int = 2 << 30
    """Address space of each process, and resident memory of all of them together."""
    processes: int = 128
    """Processes and threads at the same time."""
    disk_bytes: int = 512 << 20
    """Size of the copy of the working tree with all that is written to it, and again of `/tmp`."""
    file_bytes: int = 128 << 20
    """Size of one file."""
    output_bytes: int = 4 << 20
    """Output and error output together; also the size of the report that is collected."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a process ended."""

    exit_code: int
    """Its exit status; negative if a signal ended it."""
    output: str
    """Output and error output in the order in which they came."""
    seconds: float
    """Wall time."""
    stopped: Stopped | None = None
    """The limit at which it was killed."""
    report: bytes = b""
    """The report that the process left, if one was asked for."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself with exit status 0."""
        return self.exit_code == 0 and self.stopped is None


def run_within_limits(
    command: Sequence[str],
    limits: RunLimits,
    *,
    environment: Mapping[str, str],
    folder: Path | None = None,
    keep_open: Sequence[int] = (),
) -> ProcessResult:
    """Run a command; afterwards none of its process group lives.

    Args:
        command: the program and its arguments. It writes what people read to its error output, and a report, if it has
            one, to its output.
        limits: `seconds`, `output_bytes` and `memory_bytes` are enforced here; the others are the caller's business.
        environment: all of the process's environment.
        folder: where it runs.
        keep_open: descriptors that the process inherits.

    Raises:
        OSError: the program cannot be started.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        pass_fds=keep_open,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            [output, report], stopped = _collect(process, [process.stderr, process.stdout], limits, started)
        finally:
            _kill_group(process)
    seconds = time.monotonic() - started
    return ProcessResult(process.returncode, output.decode(errors="replace"), seconds, stopped, bytes(report))


def _collect(
    process: subprocess.Popen[bytes], pipes: Sequence[IO[bytes]], limits: RunLimits, started: float
) -> tuple[list[bytearray], Stopped | None]:
    """Read the pipes until the process ends or goes beyond a limit."""
    texts = [bytearray() for _ in pipes]
    next_look = started + MEMORY_TICK
    with selectors.DefaultSelector() as selector:
        for number, pipe in enumerate(pipes):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, number)
        while True:
            ended = process.poll() is not None
            ready = selector.select(0 if ended else TICK) if selector.get_map() else []
            for key, _ in ready:
                chunk = os.read(key.fd, READ_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                texts[key.data] += chunk
                if len(texts[key.data]) > limits.output_bytes:
                    del texts[key.data][limits.output_bytes :]
                    return texts, "output"
            now = time.monotonic()
            if ended and not ready:
                return texts, None
            if now - started > limits.seconds:
                return texts, "time"
            if now > next_look:
                next_look = now + MEMORY_TICK
                if _resident_bytes(process.pid) > limits.memory_bytes:
                    return texts, "memory"
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TICK)


def _resident_bytes(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                total += child.memory_info().rss
    return total


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
