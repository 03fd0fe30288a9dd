"""Running tests in the sandbox, and what came of each."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from telic.workspaces.environments import PythonEnvironment
from telic.workspaces.processes import ProcessResult, RunLimits, Stopped
from telic.workspaces.sandbox import TREE, Sandbox

__all__ = ["SuiteResult", "TestOutcome", "run_command", "run_pytest"]

TestOutcome = Literal["passed", "failed", "error", "skipped"]
REPORT = ".telic-report.xml"


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What came of running tests."""

    exit_code: int
    outcomes: Mapping[str, TestOutcome] = field(default_factory=dict)
    """By test, named as pytest does (`tests/test_x.py::TestA::test_b[1]`); empty for commands other than pytest."""
    messages: Mapping[str, str] = field(default_factory=dict)
    """By test that did not pass: what it said."""
    output: str = ""
    stopped: Stopped | None = None
    """The limit at which the run was killed."""
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the run ended by itself with exit status 0."""
        return self.exit_code == 0 and self.stopped is None

    def outcome(self, test: str) -> TestOutcome | None:
        """Return what came of a test, or of all tests of a file or class; None if none of them ran.

        A test that a log has cut off at a blank, as in SWE-bench's lists, stands for all tests that begin like it.
        """
        if test in self.outcomes:
            return self.outcomes[test]
        cut = test.count("[") > test.count("]")
        prefix = test if cut else f"{test}::"
        found = {outcome for name, outcome in self.outcomes.items() if name.startswith(prefix)}
        return next((worst for worst in ("error", "failed", "passed", "skipped") if worst in found), None)

    def summary(self, most: int = 10) -> str:
        """Describe the result in a few lines."""
        if self.stopped:
            return f"The run was killed: it went beyond its limit of {self.stopped}.\n{self.output[-2000:]}".strip()
        if not self.outcomes:
            return f"Exit status {self.exit_code}.\n{self.output[-4000:]}".strip()
        kinds = list(self.outcomes.values())
        counts = ", ".join(
            f"{kinds.count(kind)} {kind}" for kind in ("passed", "failed", "error", "skipped") if kind in kinds
        )
        wrong = [test for test, outcome in self.outcomes.items() if outcome in ("failed", "error")]
        lines = [f"{test}: {self.messages.get(test, '')[-600:]}" for test in wrong[:most]]
        more = [f"... and {len(wrong) - most} more"] if len(wrong) > most else []
        return "\n".join([counts, *lines, *more])


def run_pytest(
    sandbox: Sandbox,
    environment: PythonEnvironment,
    tree: Path,
    tests: Sequence[str] = (),
    *,
    hidden: Sequence[str] = (),
    limits: RunLimits | None = None,
) -> SuiteResult:
    """Run pytest on a copy of a working tree.

    Args:
        sandbox: where it runs.
        environment: the interpreter and the packages.
        tree: the working tree.
        tests: files, folders or tests; by default all.
        hidden: paths of the tree that the code does not get.
        limits: limits of this run instead of the sandbox's.
    """
    recipe = environment.recipe
    paths = [f"{TREE}/{path}".rstrip("/.") for path in recipe.paths]
    plan = {
        "paths": paths,
        "pytest_from_tree": recipe.pytest_from_tree,
        "files": dict(recipe.files),
        "service": recipe.service,
        "port": recipe.port,
        "arguments": [
            *("-p", "no:cacheprovider", f"--junitxml={REPORT}", "-o", "junit_family=xunit1"),
            *("--continue-on-collection-errors", "-q", *recipe.pytest_arguments, "--", *tests),
        ],
    }
    # -I: nothing in the working tree is imported before pytest itself, not even a `sitecustomize.py`.
    result = sandbox.run(
        [str(environment.python), "-I", "-B", "-c", _starter(), json.dumps(plan)],
        tree,
        environment={
            "PATH": f"{environment.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": ":".join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            **recipe.variables,
        },
        readable=environment.readable,
        hidden=hidden,
        report=REPORT,
        limits=limits,
    )
    return _read(result)


def run_command(
    sandbox: Sandbox,
    environment: PythonEnvironment,
    tree: Path,
    command: str,
    *,
    hidden: Sequence[str] = (),
    limits: RunLimits | None = None,
) -> ProcessResult:
    """Run a command line on a copy of a working tree, with the environment's interpreter first on the path."""
    paths = [f"{TREE}/{path}".rstrip("/.") for path in environment.recipe.paths]
    return sandbox.run(
        ["/bin/sh", "-c", command],
        tree,
        environment={
            "PATH": f"{environment.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": ":".join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment.recipe.variables,
        },
        readable=environment.readable,
        hidden=hidden,
        limits=limits,
    )


def _starter() -> str:
    return resources.files("telic.workspaces").joinpath("pytest_starter.py").read_text(encoding="utf-8")


def _read(result: ProcessResult) -> SuiteResult:
    outcomes: dict[str, TestOutcome] = {}
    messages: dict[str, str] = {}
    try:
        cases = list(ElementTree.fromstring(result.report).iter("testcase")) if result.report else []
    except ElementTree.ParseError:
        cases = []  # the run was killed while it wrote
    for case in cases:
        name = _name(case)
        outcome, message = _outcome(case)
        if outcomes.get(name) not in ("failed", "error"):  # a test that fails again while it ends is listed twice
            outcomes[name] = outcome
            if message:
                messages[name] = message
    return SuiteResult(result.exit_code, outcomes, messages, result.output, result.stopped, result.seconds)


def _name(case: ElementTree.Element) -> str:
    """The name that pytest gives a test: the file, its classes, and the test itself."""
    name, file, classes = case.get("name", ""), case.get("file", ""), case.get("classname", "")
    if not file:
        return name
    module = re.sub(r"\.py$", "", file).replace("/", ".")
    inner = classes.removeprefix(module).strip(".")
    return "::".join(filter(None, [file, *inner.split("."), name]))


def _outcome(case: ElementTree.Element) -> tuple[TestOutcome, str]:
    kinds: list[tuple[str, TestOutcome]] = [("error", "error"), ("failure", "failed"), ("skipped", "skipped")]
    for tag, outcome in kinds:
        if (found := case.find(tag)) is not None:
            return outcome, (found.text or found.get("message") or "").strip()
    return "passed", ""
