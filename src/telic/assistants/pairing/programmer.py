"""A pair programmer: looks at the repository, asks what would change the patch, and writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

from telic.agents.player import seed_of
from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.budget import Budget, BudgetSpentError
from telic.assistants.pairing.config import PairConfig
from telic.assistants.pairing.findings import investigate
from telic.assistants.pairing.functions import FunctionWriter
from telic.assistants.pairing.intent import Interviewer
from telic.assistants.pairing.task import PairTask
from telic.assistants.pairing.texts import Question
from telic.assistants.pairing.tool_use import ToolInterviewer, ToolWriter
from telic.dialogue import Message
from telic.models import Model
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.workspaces import Workspace

__all__ = ["PairProgrammer", "PairWork", "bundled_purpose"]


def bundled_purpose(name: str) -> Purpose:
    """Return a purpose that ships with Telic: `pair_intent` or `pair_work`."""
    text = (resources.files("telic") / "data" / f"{name}.toml").read_text(encoding="utf-8")
    return Purpose.from_text(text, name)


class PairProgrammer:
    """A model that resolves issues in dialogue with their author.

    Args:
        model: the model of both parts.
        config: how it works.
        intent: the purpose of the part that asks; by default the bundled one.
        work: the purpose of the part that writes code; by default the bundled one.
    """

    def __init__(
        self,
        model: Model,
        config: PairConfig | None = None,
        *,
        intent: Purpose | None = None,
        work: Purpose | None = None,
    ) -> None:
        self.model, self.config = model, config or PairConfig()
        self.intent = intent or bundled_purpose("pair_intent")
        self.work = work or bundled_purpose("pair_work")
        config = self.config
        self.uses_tools = config.mode == "tools" or (config.mode == "auto" and "logits" not in model.points)
        """Whether the model looks and edits by itself."""
        self.interviewer: Interviewer | ToolInterviewer
        self.writer: FunctionWriter | ToolWriter
        if self.uses_tools:
            self.interviewer = ToolInterviewer(model, self.intent, config.steps)
            self.writer = ToolWriter(model, self.work, config.steps, config.repairs)
        else:
            self.interviewer = Interviewer(model, self.intent)
            self.writer = FunctionWriter(model, self.work, config.samples, config.repairs)

    def begin(self, issue: str, workspace: Workspace, seed: int = 0, tests: Sequence[str] = ()) -> PairWork:
        """Begin the work on an issue.

        Args:
            issue: its title and text.
            workspace: the repository.
            seed: seed of the replies.
            tests: the tests that are run; by default those that are about what the issue names.
        """
        return PairWork(self, PairTask(issue, workspace), tuple(tests), seed, Budget(self.config))


@dataclass
class PairWork:
    """The work on one issue: look, ask, write."""

    programmer: PairProgrammer
    task: PairTask
    tests: tuple[str, ...]
    seed: int
    budget: Budget
    stopped: str = ""
    """Which limit of the budget ended the work; empty if none did."""
    written: int = 0
    """Number of times that a patch was written."""
    attempts: list[Attempt] = field(default_factory=list)
    """All attempts at the last patch."""
    messages: list[Message] = field(default_factory=list)
    """Replies of the model since the last question or patch, and what came of them."""
    on_attempt: Callable[[Attempt], None] = lambda _: None
    """Called with each attempt."""

    def look(self) -> None:
        """Look at the repository, without a model and without a change.

        Raises:
            SandboxError: this machine cannot run a sandbox.
            WorkspaceError: one of the tests is no path in the workspace.
        """
        self.task.findings = investigate(self.task.workspace, self.task.issue, self.tests)

    def next_question(self) -> RequestGenerator[Question | None]:
        """Return what to ask the author now; None if nothing, or if no more may be asked.

        Raises:
            ModelError: the model failed.
        """
        config, asked = self.programmer.config, len(self.task.exchanges)
        if config.ask == "never" or asked >= config.questions:
            return None
        self.messages = []
        question = self.programmer.interviewer.next_question(
            self.task, self, always=config.ask == "always", seed=seed_of(self.seed, "ask", asked)
        )
        try:
            return (yield from self.budget.spend(question))
        except BudgetSpentError as error:
            self.stopped = str(error)
            return None

    def write(self) -> RequestGenerator[Attempt]:
        """Write a patch; the best attempt counts, and the workspace is left with it.

        Raises:
            ModelError: the model failed.
            SandboxError: this machine cannot run a sandbox.
        """
        self.attempts, self.messages, self.written = [], [], self.written + 1
        writing = self.programmer.writer.write(self.task, self, seed_of(self.seed, "write", self.written))
        try:
            yield from self.budget.spend(writing)
        except BudgetSpentError as error:
            self.stopped = str(error)
            if self.programmer.uses_tools:  # what it has changed so far may do
                self.attempt(self.task.attempt())
        best = min(self.attempts, key=lambda one: one.badness, default=Attempt(problem=f"No patch: {self.stopped}."))
        self.task.reset(best.patch or None)
        if not best.patch and self.task.start:
            best = replace(self.task.attempt(), problem=f"{best.problem} The last version is kept.")
        return best

    def attempt(self, attempt: Attempt) -> None:
        """Keep an attempt."""
        self.attempts.append(attempt)
        self.on_attempt(attempt)

    def message(self, message: Message) -> None:
        """Keep a reply of the model, or what came of it."""
        self.messages.append(message)
