"""HumanEvalComm: problems of HumanEval made ambiguous, inconsistent or incomplete (arXiv 2406.00215).

A line of the file has the fields of HumanEval, the changed prompts (`prompt1a`, `prompt1c`, `prompt1p`, `prompt2ac`,
...), and the test cases. The repository of such an issue is a folder with the prompt as `solution.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telic.errors import DataError
from telic.issues.issue import Issue
from telic.toml_source import decode

__all__ = ["load_human_eval_comm"]

FILE, TEST = "solution.py", "tests/test_solution.py"
PROMPT = re.compile(r"prompt\w+")
"""A changed prompt. Its name becomes that of a folder."""
CASES = ("test_case", "test_cases")


def load_human_eval_comm(path: str | Path, folder: str | Path) -> list[Issue]:
    """Read a JSON Lines file of HumanEvalComm: an issue for each problem and each of its changed prompts.

    Args:
        path: the file.
        folder: where the repository of each issue is written.

    Raises:
        DataError: the file cannot be read, or a line is not a problem.
        ConfigError: the file is not in UTF-8.
    """
    path, folder = Path(path), Path(folder)
    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    issues: list[Issue] = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON texts may hold U+2028
        if not line.strip():
            continue
        try:
            issues += _issues(json.loads(line), folder)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}, line {number} is not a problem of HumanEvalComm: {error!r}") from None
    return issues


def _issues(row: Mapping[str, Any], folder: Path) -> Iterator[Issue]:
    name = str(row.get("name") or row["task_id"]).replace("/", "-")
    test = _test(row)
    solution = row.get("canonical_solution") or row.get("solution") or ""
    for key in sorted(key for key in row if PROMPT.fullmatch(key) and row[key]):
        repository = folder / f"{name}-{key}"
        repository.mkdir(parents=True, exist_ok=True)
        stub = f"{row[key].rstrip()}\n    raise NotImplementedError\n"
        (repository / FILE).write_text(stub, encoding="utf-8")
        yield Issue(
            id=f"{name}-{key}",
            title=f"Write {row['entry_point']} in {FILE}",
            full_text=row["prompt"],
            hidden_text=row[key],
            repository=repository,
            must_turn_green=(TEST,),
            test_patch=_new_file(TEST, test),
            gold_patch=_replaced(FILE, stub, row["prompt"] + solution) if solution else "",
        )


def _test(row: Mapping[str, Any]) -> str:
    """The tests of a problem. Cases that compare otherwise than by equality are left out."""
    entry = row["entry_point"]
    cases = [case for key in CASES for case in row.get(key) or [] if case["relation"] == "=="]
    if not cases:
        return f"from solution import {entry}\n\n{row['test']}\n\ndef test_solution():\n    check({entry})\n"
    lines = ["import pytest", "", f"from solution import {entry}", "", "CASES = ["]
    lines += [f"    (lambda: {entry}({case['input']}), {str(case['output']).strip()!r})," for case in cases]
    lines += ["]", "", "", "@pytest.mark.parametrize(('call', 'printed'), CASES)"]
    return "\n".join([*lines, "def test_solution(call, printed):", "    assert str(call()).strip() == printed", ""])


def _new_file(path: str, text: str) -> str:
    lines = text.splitlines()
    head = (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n"
    )
    return head + "".join(f"+{line}\n" for line in lines)


def _replaced(path: str, old: str, new: str) -> str:
    before, after = old.splitlines(), new.rstrip("\n").splitlines()
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{len(before)} +1,{len(after)} @@\n"
    return head + "".join(f"-{line}\n" for line in before) + "".join(f"+{line}\n" for line in after)
