"""A session of a pair programmer with a person: look, ask, write, and then the person decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.programmer import PairProgrammer
from telic.assistants.pairing.record import SessionRecord
from telic.assistants.pairing.texts import AnsweredQuestion, Question
from telic.errors import RunError, WorkspaceError
from telic.issues.live import LiveBoard
from telic.models.requesting import run_alone
from telic.runs import RunFolder
from telic.workspaces import Workspace

__all__ = ["IssueAuthor", "PairSession", "PatchDecision", "read_issue"]

LONGEST_ISSUE = 200_000
"""Bytes of an issue."""


@dataclass(frozen=True, slots=True)
class PatchDecision:
    """What a person wants done with a patch."""

    kind: Literal["accept", "edit", "revert", "comment", "leave"]
    """`leave` ends the session for now; it can be resumed."""
    text: str = ""
    """The edited patch, or the comment."""


class IssueAuthor(Protocol):
    """The author of the issue, who decides about the patch."""

    def see_findings(self, findings: Findings) -> None:
        """See what was found, before anything is asked."""
        ...

    def answer(self, question: Question) -> str:
        """Answer a question; an empty answer says that they do not know."""
        ...

    def see_attempt(self, attempt: Attempt) -> None:
        """See an attempt, while others may follow."""
        ...

    def decide(self, attempt: Attempt, stopped: str) -> PatchDecision:
        """Look at the best attempt, and decide what is done with it."""
        ...

    def see_problem(self, problem: str) -> None:
        """Learn why something that they wanted cannot be done."""
        ...


class PairSession:
    """A session on one issue. It keeps itself in a run folder after every step.

    Args:
        programmer: the pair programmer.
        workspace: the repository.
        issue: title and text of the issue.
        person: its author.
        run: the run folder.
        seed: seed of the replies.
        tests: the tests that are run; by default those about what the issue names.
        metadata: what identifies the session, for its episode.
        board: shows the session on a page while it goes on.

    Raises:
        RunError: the run folder holds a damaged session.
        WorkspaceError: the patch of the session to resume does not fit the repository any more.
    """

    def __init__(
        self,
        programmer: PairProgrammer,
        workspace: Workspace,
        issue: str,
        person: IssueAuthor,
        run: RunFolder,
        *,
        seed: int = 0,
        tests: tuple[str, ...] = (),
        metadata: dict[str, Any] | None = None,
        board: LiveBoard | None = None,
    ) -> None:
        self.workspace, self.person, self.run_folder, self._board = workspace, person, run, board
        system = programmer.work.system_prompt
        self.record = SessionRecord.read(run.path) or SessionRecord.begin(issue, seed, system, metadata or {})
        self.work = programmer.begin(issue, workspace, seed, tests)
        self.work.on_attempt = self._see_attempt
        self.best = Attempt(problem="No patch was written.")
        """The last patch, and what the tests say of it."""

    def run(self) -> SessionRecord:
        """Go on until the person has decided.

        Raises:
            ModelError: the model failed.
            RunError: the person has decided already.
            SandboxError: this machine cannot run a sandbox.
            WorkspaceError: one of the tests is no path in the workspace.
        """
        record, work = self.record, self.work
        if record.stage == "done":
            raise RunError(f"the session in {str(self.run_folder.path)!r} is over; start a new one")
        self._show_page()
        work.look()
        self._show_page(findings=self.workspace.masked(work.task.findings.summary()))
        self.person.see_findings(work.task.findings)
        self._restore()
        self._show_record()
        steps = {"ask": self._ask, "write": self._write, "decide": self._decide}
        while step := steps.get(record.stage):
            step()
            self._save()
            if record.decision == "leave":
                return record
        self.run_folder.episodes.append(record.episode)
        self.run_folder.append_metrics({"headline": headline(record, self.best)})
        return record

    def _restore(self) -> None:
        """Bring the work to where the session stood."""
        record, work = self.record, self.work
        record.decision = "" if record.decision == "leave" else record.decision
        work.task.exchanges = list(record.exchanges)
        work.task.comment, work.written = record.comment, record.written
        work.budget.steps, work.budget.tokens = record.steps, record.tokens
        if record.stage == "decide":
            work.task.reset(record.patch or None)
            self.best = work.task.attempt() if record.patch else self.best
        elif record.comment:
            work.task.start = record.patch

    def _ask(self) -> None:
        record, work = self.record, self.work
        if record.pending is None:
            before = work.budget.tokens
            record.pending = run_alone(work.next_question())
            if record.pending is None:
                record.stage = "write"
                return
            record.say("assistant", "ask", str(record.pending), work.messages, work.budget.tokens - before)
            self._save()
        answer = self.person.answer(record.pending).strip() or "I do not know."
        record.say("user", "answer", answer)
        work.task.exchanges.append(AnsweredQuestion(record.pending, answer))
        record.exchanges, record.pending = list(work.task.exchanges), None

    def _write(self) -> None:
        record, work = self.record, self.work
        before = work.budget.tokens
        self._show_page(attempts=(), problem="")
        self.best = run_alone(work.write())
        record.patch, record.written, record.stage = self.best.patch, work.written, "decide"
        record.say("assistant", "patch", self.best.patch, work.messages, work.budget.tokens - before)
        record.tested(self.best)

    def _decide(self) -> None:
        record = self.record
        self._show_patch()
        decision = self.person.decide(self.best, self.work.stopped)
        if decision.kind == "accept":
            try:
                self.workspace.accept()
            except WorkspaceError as error:
                self._see_problem(str(error))
                return
            record.accepted()
            record.stage = "done"
        elif decision.kind == "edit":
            self._take_edit(decision.text)
        elif decision.kind == "comment":
            record.rejected(decision.text)
            record.say("user", "comment", decision.text)
            record.comment, record.stage = decision.text, "write"
            self.work.task.comment, self.work.task.start = decision.text, record.patch
            self.work.budget.renew()
        elif decision.kind == "revert":
            self.workspace.revert()
            record.rejected()
            record.patch, record.stage = "", "done"
        record.decision = decision.kind

    def _take_edit(self, patch: str) -> None:
        """Take the patch that the person has edited, if it fits."""
        record, task = self.record, self.work.task
        try:
            self.workspace.revert()
            if patch.strip():
                self.workspace.tree.apply(patch if patch.endswith("\n") else f"{patch}\n")
        except WorkspaceError as error:
            task.reset(record.patch or None)
            self._see_problem(str(error))
            return
        self.best = task.attempt()
        if self.best.patch != record.patch:
            record.edited(self.best.patch)
        record.patch = self.best.patch

    def _save(self) -> None:
        record = self.record
        record.steps, record.tokens = self.work.budget.steps, self.work.budget.tokens
        record.write(self.run_folder.path)
        self._show_record()

    def _see_attempt(self, attempt: Attempt) -> None:
        if self._board is not None:
            self._show_page(attempts=(*self._board.session.attempts, self.workspace.masked(attempt.summary())))
        self.person.see_attempt(attempt)

    def _see_problem(self, problem: str) -> None:
        self._show_page(problem=problem)
        self.person.see_problem(problem)

    def _show_record(self) -> None:
        """Show on the page how far the session came."""
        record = self.record
        asked = record.pending or Question("")
        self._show_page(
            stage=record.stage,
            question=asked.text,
            options=asked.options,
            decision=record.decision if record.stage == "done" else "",
            turns=tuple(record.episode.turns),
        )

    def _show_patch(self) -> None:
        """Show the patch on the page that is to be decided about."""
        best = self.best
        summary = self.workspace.masked(best.summary())
        self._show_page(patch=best.patch, tests=summary, passed=best.passed, stopped=self.work.stopped)

    def _show_page(self, **changes: Any) -> None:
        if self._board is not None:
            self._board.show(**changes)


def headline(record: SessionRecord, best: Attempt) -> str:
    """Return how a session ended, in one sentence."""
    asked = len(record.exchanges)
    tests = "no test covers it" if best.suite is None else "the tests pass" if best.passed else "tests fail"
    ending = "accepted" if record.decision == "accept" else "discarded"
    return f"The patch was {ending}; {tests}; {asked} {'question' if asked == 1 else 'questions'} asked."


def read_issue(path: Path) -> str:
    """Read an issue: a text file, such as Markdown.

    Raises:
        WorkspaceError: the file cannot be read, is empty, or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"cannot read the issue {str(path)!r}: {error.strerror}") from None
    if len(data) > LONGEST_ISSUE:
        raise WorkspaceError(f"the issue {str(path)!r} has more than {LONGEST_ISSUE >> 10} KiB; shorten it")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise WorkspaceError(f"the issue {str(path)!r} is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text:
        raise WorkspaceError(f"the issue {str(path)!r} is empty; write what is wrong, and what should happen instead")
    return text
