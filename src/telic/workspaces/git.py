"""Calls of `git` that run no code of the repository: no hooks, no monitors, no external programs for differences."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from telic.errors import WorkspaceError

__all__ = ["changed_paths", "describe_git_error", "git", "try_git"]

SAFE = [
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "core.autocrlf=false"),
    *("-c", "gc.auto=0"),
    *("-c", "user.name=telic"),
    *("-c", "user.email=telic@localhost"),
]


def git(folder: Path, *arguments: str, text: str | None = None, ceiling: Path | None = None) -> str:
    """Run `git` in a folder and return its output.

    Args:
        folder: where it runs.
        arguments: the subcommand and its arguments.
        text: standard input.
        ceiling: folder above which git looks for no repository.

    Raises:
        WorkspaceError: git is not installed, or failed.
    """
    result = try_git(folder, *arguments, text=text, ceiling=ceiling)
    if result.returncode:
        raise WorkspaceError(f"git {arguments[0]} failed in {str(folder)!r}: {describe_git_error(result)}")
    return result.stdout


def try_git(
    folder: Path, *arguments: str, text: str | None = None, ceiling: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `git` in a folder, and leave it to the caller to look at the exit status.

    Raises:
        WorkspaceError: git is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
    if ceiling is not None:
        environment["GIT_CEILING_DIRECTORIES"] = str(ceiling)
    try:
        return subprocess.run(
            ["git", *SAFE, *arguments],
            cwd=folder,
            env=environment,
            input=text or "",
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
            umask=0o022,
        )
    except FileNotFoundError:
        raise WorkspaceError("The program 'git' was not found. Install git.") from None


def describe_git_error(result: subprocess.CompletedProcess[str]) -> str:
    """Return what git says went wrong."""
    return result.stderr.strip() or result.stdout.strip() or f"exit status {result.returncode}"


def changed_paths(folder: Path, patch: str) -> list[str]:
    """Return the paths that a patch changes, creates, deletes or renames, as git reads it.

    Raises:
        WorkspaceError: git cannot read the patch, or it makes a symbolic link or a submodule.
    """
    result = try_git(folder, "apply", "--numstat", "-z", "-", text=patch, ceiling=folder.parent)
    if result.returncode:
        raise WorkspaceError(f"the patch cannot be read: {describe_git_error(result)}")
    if found := _LINK_MODE.search(patch):
        raise WorkspaceError(f"the patch makes a symbolic link or a submodule: {found[0]!r}. Neither is allowed.")
    paths: list[str] = []
    for record in result.stdout.split("\0"):
        counts = _COUNTS.match(record)
        paths.append(counts["path"] if counts else record)
    return sorted({*paths, *_NAMES.findall(patch)} - {"", "/dev/null"})


_COUNTS = re.compile(r"(?:\d+|-)\t(?:\d+|-)\t(?P<path>.*)", re.DOTALL)
_LINK_MODE = re.compile(r"^(?:new file mode|new mode|deleted file mode|index .*) 1[26]0000$", re.MULTILINE)
_NAMES = re.compile(r"^(?:rename|copy) (?:from|to) (.+)$", re.MULTILINE)
"""The names of a rename, which the counts of a pure one leave out."""
