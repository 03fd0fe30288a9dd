"""Judging a patch: an issue is resolved if its failing tests pass and the passing ones still pass.

The tests run in the sandbox, in a fresh working tree. Before they run, every file that belongs to the tests is set back
to the base, and the issue's own test patch is applied: a patch that edits tests gains nothing. Beside the issue's tests
run two that have to fail; if they are reported as anything else, the code under test changes what pytest reports.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath

from telic.errors import DataError, WorkspaceError
from telic.issues.checkout import IssueCheckout
from telic.issues.issue import Issue
from telic.workspaces.environments import PythonEnvironment
from telic.workspaces.git import changed_paths
from telic.workspaces.processes import RunLimits
from telic.workspaces.suites import SuiteResult
from telic.workspaces.workspace import Workspace

__all__ = ["IssueJudge", "Verdict"]

TEST_FOLDERS = frozenset({"test", "tests", "testing"})
TEST_FILES: tuple[str, ...] = (
    "test_*",
    "*_test.py",
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
)
TEST_FILES += ("setup.cfg", "pyproject.toml", "sitecustomize.py", "usercustomize.py", "*.pth", "entry_points.txt")
"""Files that decide what the tests do. They do not count as part of a patch."""
MOST_VERDICTS = 64
"""Verdicts that a judge keeps."""
CANARY = "def test_fails():\n    assert False\n\n\ndef test_raises():\n    raise RuntimeError\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a patch resolves an issue, and why not."""

    resolved: bool
    reason: str = ""
    """Why it does not; empty if it does."""
    turned_green: tuple[str, ...] = ()
    """Tests that had to pass, and do."""
    still_red: tuple[str, ...] = ()
    """Tests that had to pass, and do not."""
    regressions: tuple[str, ...] = ()
    """Tests that passed before, and do not any more."""
    not_run: tuple[str, ...] = ()
    """Tests that do not count: they did not pass before in this environment, or need the internet."""
    after: SuiteResult | None = field(default=None, repr=False)
    """The run on the patched code."""


class IssueJudge:
    """Judges patches for one issue. It keeps what the tests said before, and its latest verdicts.

    Args:
        issue: the issue.
        environment: the environment of its tests.
        limits: what one run of the tests may use.
        unsafe: run without a sandbox.
    """

    def __init__(
        self,
        issue: Issue,
        environment: PythonEnvironment | None = None,
        limits: RunLimits | None = None,
        unsafe: bool = False,
    ) -> None:
        if not issue.must_turn_green:
            raise DataError(f"issue {issue.id!r} names no test that has to turn green; it cannot be judged")
        self.issue = issue
        self._environment, self._limits, self._unsafe = environment, limits, unsafe
        self._before: SuiteResult | None = None
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()

    def before(self) -> SuiteResult:
        """Run the issue's tests on the code without a patch; once.

        Raises:
            SandboxError: this machine cannot run a sandbox.
            WorkspaceError: the issue's test patch does not fit its repository.
        """
        if self._before is None:
            self._before, _ = self._run("")
        return self._before

    def judge(self, patch: str) -> Verdict:
        """Judge a patch. The same one gets the same verdict, unless its tests were killed at a limit.

        Raises:
            SandboxError: this machine cannot run a sandbox.
            WorkspaceError: the issue's test patch does not fit its repository.
        """
        if not patch.strip():
            return Verdict(False, "the patch is empty")
        if patch in self._verdicts:
            return self._verdicts[patch]
        verdict = self._judge(patch)
        if verdict.after is None or verdict.after.stopped is None:  # on a less busy machine it may end within its limit
            self._verdicts[patch] = verdict
            while len(self._verdicts) > MOST_VERDICTS:
                self._verdicts.popitem(last=False)
        return verdict

    def _judge(self, patch: str) -> Verdict:
        before = self.before()
        try:
            after, tampered = self._run(patch)
        except _UnusablePatchError as error:
            return Verdict(False, str(error))
        return self._compare(before, after, tampered)

    def _run(self, patch: str) -> tuple[SuiteResult, bool]:
        """Run the tests on the patched code. Returns the result, and whether the canary was not reported as failing."""
        with (
            IssueCheckout(self.issue) as checkout,
            Workspace(
                checkout.path,
                checkout.base,
                environment=self._environment,
                limits=self._limits,
                unsafe=self._unsafe,
            ) as workspace,
        ):
            canary = _canary_path(self.issue.test_files)
            try:
                self._prepare(workspace, patch)
                (workspace.tree.root / canary).write_text(CANARY, encoding="utf-8")
            except (WorkspaceError, OSError) as error:
                if not patch.strip():
                    raise
                raise _UnusablePatchError(str(error)) from None
            result = workspace.suite([*self.issue.test_files, canary])
        reported = {name: outcome for name, outcome in result.outcomes.items() if name.startswith(f"{canary}::")}
        outcomes = {name: outcome for name, outcome in result.outcomes.items() if name not in reported}
        cleaned = SuiteResult(
            result.exit_code, outcomes, result.messages, result.output, result.stopped, result.seconds
        )
        return cleaned, list(reported.values()) != ["failed", "failed"]

    def _prepare(self, workspace: Workspace, patch: str) -> None:
        """Apply a patch, undo what it does to the tests, and bring the issue's own tests."""
        changed = workspace.tree.apply(patch) if patch.strip() else []
        test_patch = self.issue.test_patch
        ours = changed_paths(workspace.tree.root, test_patch) if test_patch else []
        workspace.tree.restore({*ours, *(path for path in changed if is_test_file(path, self.issue))})
        if test_patch:
            workspace.tree.apply(test_patch)

    def _compare(self, before: SuiteResult, after: SuiteResult, tampered: bool) -> Verdict:
        issue = self.issue
        left_out = self._environment.recipe.network_tests if self._environment else ()
        wanted = tuple(test for test in issue.must_turn_green if test not in left_out)
        green = tuple(test for test in wanted if after.outcome(test) == "passed")
        red = tuple(test for test in wanted if test not in green)
        passed = [test for test in issue.must_stay_green if before.outcome(test) == "passed"]
        broken = tuple(test for test in passed if after.outcome(test) != "passed")
        counted = {*wanted, *passed}
        not_run = tuple(test for test in (*issue.must_turn_green, *issue.must_stay_green) if test not in counted)
        if after.stopped:
            reason = f"the tests were killed at their limit of {after.stopped}"
        elif tampered:
            reason = (
                "a test that has to fail was not reported as failing: the code changes what pytest reports, or ends it"
            )
        elif all(before.outcome(test) == "passed" for test in wanted):
            reason = "no test that has to turn green fails without a patch here: the issue cannot be judged"
        elif red:
            reason = f"{len(red)} of {len(wanted)} tests that have to pass do not, such as {red[0]}"
        elif broken:
            reason = f"{len(broken)} tests that passed before do not any more, such as {broken[0]}"
        else:
            reason = ""
        return Verdict(not reason, reason, green, red, broken, not_run, after)


class _UnusablePatchError(Exception):
    """The patch does not fit, or changes what it may not."""


def is_test_file(path: str, issue: Issue) -> bool:
    """Return whether a file belongs to the tests of an issue, or decides how they run."""
    place = PurePosixPath(path)
    folders = {PurePosixPath(file).parent for file in issue.test_files} | set(map(PurePosixPath, issue.test_folders))
    return (
        place.parts[0] in TEST_FOLDERS
        or bool((folders - {PurePosixPath(".")}) & set(place.parents))
        or any(fnmatch(place.name, pattern) for pattern in TEST_FILES)
    )


def _canary_path(files: Sequence[str]) -> str:
    """A new file beside the tests, with a name that no patch can know."""
    folder = next((PurePosixPath(file).parent for file in files if file.endswith(".py")), None)
    return str((folder or PurePosixPath(files[0])) / f"test_{secrets.token_hex(8)}.py")
