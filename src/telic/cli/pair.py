"""`telic pair`: resolve an issue in a repository in dialogue."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.assistants.pairing.config import PairConfig
from telic.cli.output import load_model, print_json, print_line, print_notice
from telic.cli.resuming import resume_hint
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import CheckedOptions, Interrupted, UsageError
from telic.errors import RunError
from telic.models.credentials import check_model_name
from telic.terminal import printable

if TYPE_CHECKING:
    from telic.assistants.pairing.session import IssueAuthor, PairSession
    from telic.issues.live import LiveBoard
    from telic.purpose import Purpose
    from telic.runs import RunFolder
    from telic.workspaces import Workspace

__all__ = ["Pair"]


class PairSettings(CheckedOptions, PairConfig):
    """The options of `PairConfig`."""


@dataclass
class Pair(ThreadOptions):
    """Work on an issue in a repository as a pair programmer.

    Looks at the repository first, asks only what would change the patch, edits in a working tree beside your checkout,
    and runs the tests in a sandbox. You see the diff, and accept it, edit it, comment on it, or revert it. Your
    checkout is not changed until you accept. Without a terminal it asks nothing and prints the patch. The dashboard of
    `telic serve` shows the session; with --page you answer there.

    Examples:
        telic pair issue.md --repo ~/code/shop
        telic pair issue.md --model http://localhost:8000/v1#qwen2.5-coder
        telic pair issue.md --tests tests/test_prices.py --minutes 10
        telic pair issue.md --ask never --json
        telic pair issue.md --page
        telic pair --resume runs/pair-issue-20260101-120000
    """

    issue: tyro.conf.Positional[Path]
    """A text file that describes the issue: what is wrong, and what should happen instead."""
    repo: Path = Path()
    """The repository: a git checkout, or a folder."""
    base: str = "HEAD"
    """Commit to start from. Uncommitted changes in your checkout are not used."""
    tests: tuple[str, ...] = ()
    """Tests to run, as pytest names them. By default the test files that mention the code that the issue is about."""
    model: str | None = None
    """Model that asks and writes the code. By default the one that the purpose of --work names."""
    intent: Path | None = None
    """Purpose file of the part that decides what to ask, instead of the one that comes with Telic."""
    work: Path | None = None
    """Purpose file of the part that writes the code, instead of the one that comes with Telic."""
    python: Path | None = None
    """Interpreter that runs the tests, such as `.venv/bin/python`. By default Telic's own."""
    test_seconds: float = 120.0
    """Time limit of a test run, in seconds."""
    seed: int = 0
    """Seed of the replies."""
    unsafe: bool = False
    """Run the tests without a sandbox, with all your permissions. Only for a repository and a model that you trust."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    page: bool = False
    """Take your answers from the dashboard of a `telic serve` with the same --runs folder, not from this terminal."""
    user: str = "local"
    """Who sees the session on the dashboard: the holder of an API key, or `local` on a server without keys."""
    resume: Path | None = None
    """Run folder of an interrupted session to continue. Its options come from the folder and need not be repeated."""
    json: bool = False
    """Ask nothing, and print the result as JSON."""
    quiet: bool = False
    """Ask nothing, print the patch, and show nothing on standard error."""
    settings: tyro.conf.OmitArgPrefixes[PairSettings] = field(default_factory=PairSettings)

    def run(self) -> None:
        """Work on the issue."""
        from telic.assistants.pairing.programmer import PairProgrammer, bundled_purpose
        from telic.assistants.pairing.session import PairSession, read_issue
        from telic.purpose import Purpose
        from telic.workspaces.git import try_git

        if not self.test_seconds > 0:
            raise UsageError(f"--test-seconds is {self.test_seconds}; expected a number greater than 0")
        if self.python is not None and not self.python.is_file():
            raise UsageError(f"--python is {str(self.python)!r}, which is not a file; expected a Python interpreter")
        issue = read_issue(self.issue)
        intent = Purpose.load(self.intent) if self.intent else bundled_purpose("pair_intent")
        work = Purpose.load(self.work) if self.work else bundled_purpose("pair_work")
        name = self.model or work.model
        check_model_name(name)
        with self._workspace() as workspace:
            if not self.quiet and workspace.tree.has_git and try_git(workspace.tree.source, *STATUS).stdout.strip():
                print_notice(f"Uncommitted changes in {workspace.tree.source} are not used.")
            workspace.sandbox  # noqa: B018 (a machine without a sandbox is refused before a model is loaded)
            at_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not (self.json or self.quiet)
            present = at_terminal or self.page
            config = PairConfig.of(**{**self.settings.model_dump(), **({} if present else {"ask": "never"})})
            programmer = PairProgrammer(load_model(name), config, intent=intent, work=work)
            with self._run_folder(issue, workspace, name, intent, work) as run:
                for warning in run.warnings:
                    print_notice(warning)
                board = self._board(run, issue, workspace)
                person = self._person(board, run.path.name, at_terminal)
                metadata = self._metadata(workspace, name)
                session = PairSession(
                    programmer, workspace, issue, person, run,
                    seed=self.seed, tests=self.tests, metadata=metadata, board=board,
                )  # fmt: skip
                self._go(session, run, present)

    def _board(self, run: RunFolder, issue: str, workspace: Workspace) -> LiveBoard:
        from telic.issues.live import LiveBoard, LiveSession

        title, source = issue.splitlines()[0].lstrip("# "), str(workspace.tree.source)
        return LiveBoard(run.path, LiveSession(user=self.user, on_page=self.page, title=title, repository=source))

    def _person(self, board: LiveBoard, name: str, at_terminal: bool) -> IssueAuthor:
        from telic.assistants.pairing.page_person import PagePerson
        from telic.cli.pair_view import AbsentPerson, TerminalPerson

        if not self.page:
            return TerminalPerson() if at_terminal else AbsentPerson(self.quiet)
        self._notice(f"Shown by: telic serve, at /dashboard/issues/{name}")
        return PagePerson(board, self._notice)

    def _notice(self, text: str) -> None:
        if not self.quiet:
            print_notice(text)

    def _go(self, session: PairSession, run: RunFolder, present: bool) -> None:
        try:
            record = session.run()
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(run.path)) from None
        best = session.best
        if self.json:
            print_json(
                {
                    "folder": str(run.path),
                    "decision": record.decision,
                    "passed": best.passed,
                    "patch": record.patch,
                    "problem": best.problem,
                    "stopped": session.work.stopped,
                    "turned_green": best.turned_green,
                    "red": best.red,
                    "regressions": best.regressions,
                    "questions": [{"question": str(one.question), "answer": one.answer} for one in record.exchanges],
                }
            )
        elif present:
            print_line(ENDINGS[record.decision])
            if record.decision == "leave":
                print_notice(f"To continue: telic pair --resume {run.path}")
        elif record.patch:
            # As it is, for `git apply`; on a terminal, control characters are shown.
            sys.stdout.write(printable(record.patch) if sys.stdout.isatty() else record.patch)
        if not present and not best.passed:
            raise RunError(f"no patch passes the tests: {best.summary().splitlines()[0]}")

    def _workspace(self) -> Workspace:
        from telic.workspaces import PythonEnvironment, RunLimits, Workspace

        environment = PythonEnvironment(self.python.absolute()) if self.python else PythonEnvironment()
        seconds = self.test_seconds
        limits = RunLimits(seconds=seconds, cpu_seconds=max(1, int(seconds)))
        return Workspace(self.repo, self.base, environment=environment, limits=limits, unsafe=self.unsafe)

    def _run_folder(self, issue: str, workspace: Workspace, model: str, intent: Purpose, work: Purpose) -> RunFolder:
        from telic.runs import RunFolder

        config = {
            "issue": issue,
            "repository": str(workspace.tree.source),
            "base": workspace.tree.base if workspace.tree.has_git else "the folder",
            "tests": list(self.tests),
            "model": model,
            "intent": intent.model_dump(mode="json", exclude_none=True),
            "work": work.model_dump(mode="json", exclude_none=True),
            "seed": self.seed,
            "mode": self.settings.mode,
        }
        settings = self.settings.model_dump(exclude={"mode"})
        if self.resume is not None:
            return RunFolder.resume(self.resume, config)
        return RunFolder.create(self.runs, "pair", self.issue.stem, config, settings)

    def _metadata(self, workspace: Workspace, model: str) -> dict[str, Any]:
        setup = {"purpose": "pair-work", "model": model}
        return {
            "user": "me" if self.user == "local" else self.user,
            "issue": str(self.issue),
            "repository": str(workspace.tree.source),
            "base": workspace.tree.base,
            "setups": {"pair": setup},
        }


STATUS = ("status", "--porcelain", "--untracked-files=no")
ENDINGS = {
    "accept": "The patch is applied to your checkout; nothing is committed.",
    "revert": "The patch is discarded; your checkout is unchanged.",
    "leave": "Your checkout is unchanged.",
}
"""What is said at the end, by the person's decision."""
