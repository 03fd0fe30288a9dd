"""The harness of `telic pair`: its fidelity on given issues, and what it costs without a model.

    python -m benchmarks.pair --data DIR [--only flask quixbugs] [--steps 20] [--seconds 240]

DIR holds `ambig_swe.jsonl` with `repos/`, and `quixbugs/`; either may be missing. Four patches are judged for each
issue, in the sandbox, with the environments that Telic has recipes for:

- `gold`: the patch that resolved the issue. It has to resolve it here.
- `wrong`: a comment in each file that the gold patch changes. It must not.
- `empty`: no patch. It must not.
- `test_editing`: every test of the issue replaced by one that passes, and a conftest that reports success. It must not.

`step_overhead_ms` is the time of one step of an agent without the model and without running code: the median over read,
search, find_symbol, edit (a new file and a replacement) and diff in the largest of the given repositories.
`sandbox_start_ms` is the median time from the call until `true` has ended in the sandbox, on an empty tree. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from telic.errors import DataError
from telic.issues import Issue, IssueJudge, environment_of, load_ambig_swe, load_quixbugs
from telic.issues.checkout import IssueCheckout
from telic.workspaces import PythonEnvironment, Recipe, RunLimits, Sandbox, Workspace

PLAIN = PythonEnvironment(recipe=Recipe(name="plain", variables={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}))
HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = (yield).get_result()
    result.outcome, result.longrepr = "passed", None
"""


def issues_in(data: Path, only: Sequence[str]) -> list[Issue]:
    found: list[Issue] = []
    if (data / "ambig_swe.jsonl").exists():
        found += load_ambig_swe(data)
    if (data / "quixbugs").exists():
        found += load_quixbugs(data / "quixbugs")
    if not found:
        raise SystemExit(f"{data} holds neither ambig_swe.jsonl nor quixbugs/")
    return [issue for issue in found if not only or any(part in issue.id for part in only)]


def patch_by(issue: Issue, change: Callable[[Workspace], None]) -> str:
    """The patch that a change of the issue's repository makes."""
    with IssueCheckout(issue) as checkout, Workspace(checkout.path, checkout.base) as workspace:
        change(workspace)
        return workspace.tree.diff()


def comment(issue: Issue, workspace: Workspace) -> None:
    for path in workspace.tree.apply(issue.gold_patch):
        workspace.tree.restore([path])
        place = workspace.tree.root / path
        place.write_text(place.read_text(encoding="utf-8") + "\n# wrong\n", encoding="utf-8")


def edit_tests(issue: Issue, workspace: Workspace) -> None:
    for file in issue.test_files:
        tests = {test.split("::")[-1].partition("[")[0] for test in issue.must_turn_green if "::" in test} or {"test_x"}
        body = "".join(f"def {test}(*arguments):\n    pass\n" for test in sorted(tests))
        (workspace.tree.root / file).write_text(body, encoding="utf-8")
        (workspace.tree.root / file).with_name("conftest.py").write_text(HOOK, encoding="utf-8")


def fidelity(issue: Issue, seconds: float) -> dict[str, bool | str | int]:
    environment = environment_of(issue) if issue.environment else PLAIN
    judge = IssueJudge(issue, environment, RunLimits(seconds=seconds, cpu_seconds=int(seconds)))
    gold = judge.judge(issue.gold_patch)
    row: dict[str, bool | str | int] = {
        "id": issue.id,
        "gold": gold.resolved,
        "wrong": judge.judge(patch_by(issue, lambda workspace: comment(issue, workspace))).resolved,
        "empty": judge.judge("").resolved,
        "test_editing": judge.judge(patch_by(issue, lambda workspace: edit_tests(issue, workspace))).resolved,
        "tests": len(gold.turned_green) + len(gold.still_red),
        "not_run": len(gold.not_run),
        "reason": gold.reason,
    }
    print(json.dumps(row), flush=True)
    return row


def milliseconds(act: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - start))
    return times


def step_times(issue: Issue, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of step in an issue's repository."""
    with IssueCheckout(issue) as checkout, Workspace(checkout.path, checkout.base) as workspace:
        path = workspace.tree.apply(issue.gold_patch)[0]
        workspace.revert()
        count = itertools.count()

        def edit() -> None:
            name = f"scratch_{next(count)}.py"
            workspace.create(name, "x = 1\n")
            workspace.edit(name, "x = 1", "x = 2")

        steps: dict[str, Callable[[], object]] = {
            "read": lambda: workspace.read(path, 1, 200),
            "search": lambda: workspace.search(r"def \w+", "*.py"),
            "find_symbol": lambda: workspace.find_symbol("main"),
            "edit": edit,
            "diff": workspace.diff,
        }
        return {name: milliseconds(act, repeats) for name, act in steps.items()}


def start_times(repeats: int) -> list[float]:
    sandbox = Sandbox(RunLimits(seconds=20))
    with tempfile.TemporaryDirectory() as empty:
        sandbox.run(["true"], Path(empty))
        return milliseconds(lambda: sandbox.run(["true"], Path(empty)), repeats)


def share(rows: Sequence[dict[str, bool | str | int]], key: str) -> dict[str, object]:
    values = [float(bool(row[key])) for row in rows]
    return {"resolved": int(sum(values)), "n": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the issues")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the ids of the issues to judge")
    parser.add_argument("--steps", type=int, default=20, help="repeats of each timing")
    parser.add_argument("--seconds", type=float, default=240, help="limit of one run of an issue's tests")
    parser.add_argument("--no-fidelity", action="store_true", help="timings only")
    options = parser.parse_args()
    issues = issues_in(options.data, options.only)
    archives = [issue for issue in issues if issue.repository.is_file()] or issues
    largest = max(archives, key=lambda issue: issue.repository.stat().st_size)
    times = step_times(largest, options.steps)
    starts = start_times(options.steps)
    rows = []
    for issue in [] if options.no_fidelity else issues:
        try:
            rows.append(fidelity(issue, options.seconds))
        except DataError as error:
            print(f"{issue.id}: {error}", flush=True)
    every = [value for values in times.values() for value in values]
    print(
        json.dumps(
            {
                "step_overhead_ms": round(statistics.median(every), 1),
                "step_overhead_worst_ms": round(max(every), 1),
                "step_ms": {name: round(statistics.median(values), 1) for name, values in times.items()},
                "sandbox_start_ms": round(statistics.median(starts), 1),
                "sandbox_start_worst_ms": round(max(starts), 1),
                "repository": largest.id,
                "repeats": options.steps,
                "fidelity": {key: share(rows, key) for key in ("gold", "wrong", "empty", "test_editing")},
            }
        )
    )


if __name__ == "__main__":
    main()
