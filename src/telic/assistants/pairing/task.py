"""What the work on an issue is about: its text, the repository, what was found, asked and commented."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from telic.assistants.pairing.attempts import Attempt, try_patch
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.texts import AnsweredQuestion
from telic.dialogue import Message
from telic.models import Session
from telic.workspaces import Workspace

__all__ = ["PairTask", "WorkLog"]


@dataclass
class PairTask:
    """An issue that is being worked on."""

    issue: str
    """Its title and its text."""
    workspace: Workspace
    findings: Findings = field(default_factory=Findings)
    exchanges: list[AnsweredQuestion] = field(default_factory=list)
    comment: str = ""
    """What the author said of the last patch; empty before the first."""
    start: str = ""
    """The patch that the work goes on from."""
    session: Session | None = None
    """Of the part that asks, if a planner decides: it counts what the planner has chosen."""

    @property
    def revision(self) -> str:
        """What to tell the model of the comment; empty before the first patch."""
        return "The author has seen the last version. Change it as the comment says. " if self.comment else ""

    def reset(self, patch: str | None = None) -> None:
        """Bring the workspace to a patch; by default the one that the work goes on from."""
        self.workspace.revert()
        if wanted := self.start if patch is None else patch:
            self.workspace.tree.apply(wanted)

    def attempt(self) -> Attempt:
        """Judge the workspace as it is now by the tests.

        Raises:
            SandboxError: this machine cannot run a sandbox.
        """
        return try_patch(self.workspace, self.findings)


class WorkLog(Protocol):
    """Keeps what happens in the work on an issue."""

    def attempt(self, attempt: Attempt) -> None:
        """Keep an attempt."""
        ...

    def message(self, message: Message) -> None:
        """Keep a reply of the model, or what came of it."""
        ...
