"""Searching the files of a workspace: ripgrep where it is installed, else Python."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import regex

from telic.errors import WorkspaceError
from telic.workspaces.editing import split_lines

__all__ = ["Match", "in_glob", "search_files"]

LONGEST_LINE = 300
SECONDS = 20.0
LARGEST_FILE = 2 << 20
"""Bytes of a file above which it is not searched."""


@dataclass(frozen=True, slots=True)
class Match:
    """A line that a search found."""

    path: str
    line: int
    """Counted from 1."""
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def search_files(root: Path, paths: Sequence[str], pattern: str, most: int) -> list[Match]:
    """Find lines that match a regular expression.

    Args:
        root: the folder that the paths are relative to.
        paths: the files to search.
        pattern: the expression.
        most: the number of matches after which the search ends.

    Raises:
        WorkspaceError: the pattern is not a regular expression, or the search took too long.
    """
    finder = _with_ripgrep if shutil.which("rg") else _with_python
    found = []
    for match in finder(root, paths, pattern):
        found.append(match)
        if len(found) == most:
            break
    return found


def in_glob(path: str, glob: str) -> bool:
    """Return whether a path matches a pattern such as `*.py`, `src/*`, or a folder."""
    return not glob or fnmatch(path, glob) or fnmatch(Path(path).name, glob) or path.startswith(glob.rstrip("/") + "/")


def _with_ripgrep(root: Path, paths: Sequence[str], pattern: str) -> Iterator[Match]:
    command = ["rg", "--no-config", "--no-heading", "--with-filename", "--line-number", "--null", "--color=never"]
    command += ["--no-messages", "--sort=path", f"--max-filesize={LARGEST_FILE}", "--regexp", pattern, "--"]
    for start in range(0, len(paths), 2000):  # what fits on a command line
        batch = paths[start : start + 2000]
        try:
            result = subprocess.run(
                [*command, *(f"./{path}" for path in batch)],
                cwd=root,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WorkspaceError(f"the search for {pattern!r} took more than {SECONDS:.0f} s; narrow it") from None
        if result.returncode == 2 and result.stderr:
            raise WorkspaceError(f"{pattern!r} is not a regular expression: {result.stderr.decode(errors='replace')}")
        for line in result.stdout.decode(errors="replace").split("\n"):
            path, null, rest = line.partition("\0")
            number, colon, text = rest.partition(":")
            if null and colon and number.isdigit():
                yield Match(path.removeprefix("./"), int(number), text[:LONGEST_LINE])


def _with_python(root: Path, paths: Sequence[str], pattern: str) -> Iterator[Match]:
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise WorkspaceError(f"{pattern!r} is not a regular expression: {error}") from None
    for path in sorted(paths):
        file = root / path
        if not file.is_file() or file.stat().st_size > LARGEST_FILE:
            continue
        content = file.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(split_lines(content.decode(errors="replace")), start=1):
            try:
                found = compiled.search(line, timeout=SECONDS)
            except TimeoutError:
                raise WorkspaceError(f"the search for {pattern!r} took more than {SECONDS:.0f} s; narrow it") from None
            if found:
                yield Match(path, number, line[:LONGEST_LINE])
