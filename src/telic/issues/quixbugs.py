"""QuixBugs: programs with a bug in one line, and tests (Lin et al. 2017, DOI 10.1145/3135932.3135941)."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from telic.errors import DataError
from telic.issues.issue import Issue

__all__ = ["load_quixbugs"]

PROGRAMS, CORRECT, TESTS = "python_programs", "correct_python_programs", "python_testcases"


def load_quixbugs(folder: str | Path) -> list[Issue]:
    """Read QuixBugs: an issue for each program that has a correct version and tests.

    Raises:
        DataError: the folder holds no such program.
    """
    folder = Path(folder)
    names = sorted(path.stem for path in (folder / CORRECT).glob("*.py"))
    issues = [_issue(folder, name) for name in names if (folder / TESTS / f"test_{name}.py").exists()]
    if not issues:
        raise DataError(f"{str(folder)!r} holds no program in {CORRECT!r} with tests in {TESTS!r}")
    return issues


def _issue(folder: Path, name: str) -> Issue:
    program = f"{PROGRAMS}/{name}.py"
    wrong = (folder / program).read_text(encoding="utf-8")
    right = (folder / CORRECT / f"{name}.py").read_text(encoding="utf-8")
    texts = [
        node.value.value.strip()
        for node in ast.parse(wrong).body  # some right versions have another solution in a string
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    title = f"{name} in {program} is wrong"
    return Issue(
        id=f"quixbugs-{name}",
        title=title,
        full_text="\n\n".join([title, *texts]),
        hidden_text=title,
        repository=folder,
        must_turn_green=(f"{TESTS}/test_{name}.py",),
        test_folders=("json_testcases",),
        gold_patch=_difference(program, wrong, right),
        left_out=(CORRECT,),
    )


def _difference(path: str, old: str, new: str) -> str:
    old, new = (text if text.endswith("\n") else f"{text}\n" for text in (old, new))
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)
