"""Small repositories for tests, and patches to them."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from telic.issues import Issue
from telic.workspaces import PythonEnvironment, Recipe, RunLimits, sandbox_problem

CALC = "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return 2 * a\n"
FIXED = CALC.replace("a - b", "a + b")
TESTS = """\
from calc import add, double


def test_add():
    assert add(2, 3) == 5


def test_double():
    assert double(4) == 8
"""

needs_sandbox = pytest.mark.skipif(sandbox_problem() is not None, reason=str(sandbox_problem()))
PLAIN = PythonEnvironment(recipe=Recipe(name="plain", variables={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}))
"""The interpreter of the tests, without plug-ins: they take seconds to import."""
SMALL = RunLimits(
    seconds=20,
    cpu_seconds=10,
    processes=40,
    memory_bytes=1 << 30,
    disk_bytes=32 << 20,
    file_bytes=8 << 20,
    output_bytes=1 << 20,
)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def make_repository(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """A git checkout of one commit; by default with a wrong `add` and its tests."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, files or {"calc.py": CALC, "tests/test_calc.py": TESTS})
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def calc_issue(repository: Path) -> Issue:
    return Issue(
        id="calc-1",
        title="add is wrong",
        full_text="add subtracts",
        hidden_text="add is wrong",
        repository=repository,
        must_turn_green=("tests/test_calc.py::test_add",),
        must_stay_green=("tests/test_calc.py::test_double",),
    )


def patch_of(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The patch between two sets of files."""
    text = ""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        text += f"diff --git a/{name} b/{name}\n"
        text += "new file mode 100644\n" if old is None else "deleted file mode 100644\n" if new is None else ""
        sides = f"a/{name}" if old is not None else "/dev/null", f"b/{name}" if new is not None else "/dev/null"
        text += "".join(difflib.unified_diff((old or "").splitlines(True), (new or "").splitlines(True), *sides))
    return text
