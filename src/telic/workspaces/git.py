"""Calls of `git` that run no code of the repository: no hooks, monitors, filters or external programs for differences.

The user's own settings hold, such as a filter in `~/.gitconfig`; those in the repository that name programs do not.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from telic.errors import WorkspaceError

__all__ = ["changed_paths", "describe_git_error", "git", "try_git"]

SAFE = [
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "core.autocrlf=false"),
    *("-c", "submodule.recurse=false"),  # a submodule has settings of its own
    *("-c", "gc.auto=0"),
    *("-c", "user.name=telic"),
    *("-c", "user.email=telic@localhost"),
]
RUN_FILTERS = frozenset({"add", "apply", "checkout", "reset", "worktree"})
"""Subcommands that read or write files through the filters that `.gitattributes` names."""
NO_FILTER = {"clean": "", "smudge": "", "process": "", "required": "false"}


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
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",  # the repository names the program that fetches
        "LC_ALL": "C.UTF-8",
    }
    if ceiling is not None:
        environment["GIT_CEILING_DIRECTORIES"] = str(ceiling)
    if arguments[0] in RUN_FILTERS:
        environment |= _without_filters(folder, environment)
    return _run(["git", *SAFE, *arguments], folder, environment, text or "")


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
            umask=0o022,
        )
    except FileNotFoundError:
        raise WorkspaceError("The program 'git' was not found. Install git.") from None
    # Not by `subprocess`, which would make "\n" of "\r\n": the patch would not fit.
    output, errors = (stream.decode("utf-8", "surrogateescape") for stream in (result.stdout, result.stderr))
    return subprocess.CompletedProcess(command, result.returncode, output, errors)


def _without_filters(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that take the programs from the filters that the repository itself declares."""
    listed = _run(
        ["git", "config", "--show-scope", "--null", "--name-only", "--get-regexp", r"^filter\..*"], folder, environment
    )
    fields = listed.stdout.split("\0")
    names = {name.rpartition(".")[0] for scope, name in pairwise(fields) if scope in ("local", "worktree")}
    settings = [(f"{name}.{key}", value) for name in sorted(names) for key, value in NO_FILTER.items()]
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


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
    summary = try_git(folder, "apply", "--summary", "-", text=patch, ceiling=folder.parent).stdout
    if found := _LINK_MODE.search(summary) or _LINK_INDEX.search(patch):
        raise WorkspaceError(
            f"the patch makes a symbolic link or a submodule: {found[0].strip()!r}. Neither is allowed."
        )
    names = _NAMES.findall(patch)
    if strange := [name for name in names if _STRANGE.search(name)]:
        raise WorkspaceError(f"the patch renames or copies {strange[0]!r}; a name without quotes is expected")
    paths: list[str] = []
    for record in result.stdout.split("\0"):
        counts = _COUNTS.match(record)
        paths.append(counts["path"] if counts else record)
    return sorted({*paths, *names} - {"", "/dev/null"})


_COUNTS = re.compile(r"(?:\d+|-)\t(?:\d+|-)\t(?P<path>.*)", re.DOTALL)
_LINK_MODE = re.compile(r"^ (?:(?:create|delete) mode|mode change(?: \d+ =>)?) 1[26]0000.*$", re.MULTILINE)
"""As git prints modes that it has read; a patch may write them in other ways."""
_LINK_INDEX = re.compile(r"^index .* 1[26]0000\s*$", re.MULTILINE)
_NAMES = re.compile(r"^(?:rename|copy) (?:from|to) ([^\n]+)$", re.MULTILINE)
"""The names of a rename, which the counts of a pure one leave out."""
_STRANGE = re.compile(r'[\x00-\x1f\x7f"\\]')
"""What git may read in another way than as it is written."""
