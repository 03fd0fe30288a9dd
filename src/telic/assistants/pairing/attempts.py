"""An attempt to resolve an issue: a patch, and what the tests say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from telic.assistants.pairing.findings import Findings
from telic.workspaces import SuiteResult, Workspace

__all__ = ["Attempt", "try_patch"]

SHOWN = 1500
"""Characters of a test's message that a model reads."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A patch, and how good it is."""

    patch: str = ""
    """The changes since the start; empty if there are none."""
    problem: str = ""
    """Why there is no patch, or no new one."""
    red: tuple[str, ...] = ()
    """Tests that failed before and still do, or are new and fail."""
    regressions: tuple[str, ...] = ()
    """Tests that passed before and do not any more."""
    turned_green: tuple[str, ...] = ()
    """Tests that failed before and pass now."""
    suite: SuiteResult | None = field(default=None, repr=False)
    """What the tests said; None if there are none."""

    @property
    def passed(self) -> bool:
        """Whether there is a patch, and no test fails."""
        stopped = self.suite is not None and self.suite.stopped is not None
        return bool(self.patch) and not (self.red or self.regressions or stopped)

    @property
    def badness(self) -> tuple[bool, bool, int, int]:
        """The order of attempts: those with a patch first, then those that break and leave least."""
        stopped = self.suite is not None and self.suite.stopped is not None
        return (not self.patch, stopped, len(self.regressions), len(self.red))

    def summary(self) -> str:
        """Describe the attempt in a few lines."""
        if self.problem:
            return self.problem
        if self.suite is None:
            return "No test is about it."
        if self.suite.stopped:
            return f"The tests go beyond the limit of {self.suite.stopped}."
        counts = f"turned green: {len(self.turned_green)}, still red: {len(self.red)}, broken: {len(self.regressions)}"
        lines = [f"Tests {counts}."]
        lines += [f"{name}: {self.message(name)}" for name in (*self.regressions, *self.red)[:3]]
        return "\n".join(lines)

    def message(self, test: str) -> str:
        """Return the end of what a test said."""
        return self.suite.messages.get(test, "")[-SHOWN:] if self.suite is not None else ""


def try_patch(workspace: Workspace, findings: Findings) -> Attempt:
    """Run the tests that are about the issue on the workspace as it is now.

    Raises:
        SandboxError: this machine cannot run a sandbox.
    """
    patch = workspace.tree.diff()
    if not patch:
        return Attempt(problem="Nothing was changed.")
    if not findings.tests or findings.base is None:
        return Attempt(patch)
    before, after = findings.base, workspace.suite(findings.tests)
    wrong = [name for name, outcome in after.outcomes.items() if outcome in ("failed", "error")]
    regressions = [name for name, outcome in before.outcomes.items() if outcome == "passed"]
    return Attempt(
        patch,
        red=tuple(name for name in wrong if before.outcomes.get(name) != "passed"),
        regressions=tuple(name for name in regressions if after.outcomes.get(name) != "passed"),
        turned_green=tuple(name for name in findings.failing if after.outcomes.get(name) == "passed"),
        suite=after,
    )
