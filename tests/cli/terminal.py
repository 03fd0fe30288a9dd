"""A command at a real terminal: a pseudo-terminal that a test types into and reads from."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom telic.cli.main import main\n"
)
"""Where the tests run in the background of a shell, an interruption is ignored by all that they start."""
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A process whose standard streams are a terminal.

    Args:
        folder: where it runs.
        arguments: of `telic`.
        before: a program to run before `main(...)`.
    """

    def __init__(self, folder: Path, *arguments: str, before: str = "") -> None:
        self._master, slave = pty.openpty()
        program = f"{START}{before}\nmain({list(arguments)!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=slave, stdout=slave, stderr=slave, cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"}, start_new_session=True, preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(slave)
        self.shown = ""
        """All that was shown, without escape sequences."""
        self._raw = ""
        self._at = 0

    def type(self, text: str) -> None:
        """Type some keys."""
        os.write(self._master, text.encode())

    def expect(self, text: str) -> str:
        """Wait until a text is shown after what was expected before; return what came before it."""
        deadline = time.monotonic() + 60
        while (found := self.shown.find(text, self._at)) < 0:
            assert time.monotonic() < deadline, f"{text!r} is not shown within a minute:\n{self.shown}"
            assert self._read(), f"{text!r} is not shown:\n{self.shown}"
        before, self._at = self.shown[self._at : found], found + len(text)
        return before

    def interrupt(self) -> None:
        """Press Ctrl-C until the process shows something or ends.

        Python's `input` misses an interruption that comes after the prompt is shown and before it waits for a key.
        """
        shown, deadline = self.shown, time.monotonic() + 60
        while self.shown.removesuffix("^C") == shown:
            assert time.monotonic() < deadline, f"Ctrl-C does nothing:\n{self.shown}"
            self.type(CTRL_C)
            pressed = time.monotonic()
            while self.shown.removesuffix("^C") == shown and time.monotonic() < pressed + 5:
                if not self._read():
                    return

    def wait(self) -> int:
        """Wait for the end; return the exit status."""
        deadline = time.monotonic() + 60
        while self._read():
            assert time.monotonic() < deadline, f"the process does not end within a minute:\n{self.shown}"
        os.close(self._master)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End the process if a test has failed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=30)

    def _read(self) -> bool:
        """Read what is there, for at most a second; return whether there may be more."""
        if not select.select([self._master], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._master, 4096)
        except OSError:  # the other end is closed
            return False
        self._raw += data.decode(errors="replace")
        self.shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x01\x02\r]", "", self._raw)
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C interrupts this process
