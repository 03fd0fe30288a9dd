"""Both parts for large models: they look, edit and run tests themselves, with the workspace's functions as tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from telic.agents.agent import controls_of
from telic.agents.defender import DefenceState, DefendedReply, Defender
from telic.agents.tool_turns import ToolTurns
from telic.assistants.pairing.asking import PROCEED, proceeds
from telic.assistants.pairing.intent import ASKING, read_question
from telic.assistants.pairing.task import PairTask, WorkLog
from telic.assistants.pairing.texts import Question, marked, numbered
from telic.dialogue import Message
from telic.models import Model, Request, Sampling
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.tools import Toolbox, function_tool
from telic.workspaces import Workspace

__all__ = ["ToolInterviewer", "ToolWriter"]

SAMPLING = Sampling(max_new_tokens=2048, temperature=0.2)
TOOL_SECONDS = 600.0
"""Time after which a call counts as failed. What runs in the sandbox has limits of its own, which are shorter."""


class _ToolUser:
    """A part that may call tools.

    Args:
        model: the model.
        purpose: who it is; its system prompt, sampling, controls and defences are used.
        steps: replies with calls in one turn.
    """

    def __init__(self, model: Model, purpose: Purpose, steps: int) -> None:
        self.model, self.purpose, self._steps = model, purpose, steps
        self._defender = Defender(model, purpose)
        self._controls = controls_of(purpose)
        self._sampling = replace(SAMPLING, **purpose.sampling.options())
        self._sampling = replace(self._sampling, max_new_tokens=max(self._sampling.max_new_tokens, 2048))

    def _turn(
        self, messages: Sequence[Message], toolbox: Toolbox, log: WorkLog, seed: int
    ) -> RequestGenerator[DefendedReply]:
        """Let the model call tools until it answers."""
        state = DefenceState()

        def reply(request: Request) -> RequestGenerator[DefendedReply]:
            made = yield from self._defender.reply(request, state)
            made.reply.raise_if_failed(f"model {self.model.name!r}")
            return made

        request = Request(tuple(messages), replace(self._sampling, seed=seed), self._controls)
        turns = ToolTurns(toolbox, self._steps, on_message=log.message)
        return (yield from turns.play(request, reply))

    def _opening(self, task: PairTask, ask: str) -> list[Message]:
        found = task.workspace.masked(task.findings.summary())
        parts = [marked("issue", task.issue, 20_000), marked("found", found), numbered(task.exchanges)]
        parts += [marked("comment", task.comment) if task.comment else "", ask]
        text = "\n\n".join(filter(None, parts))
        return [Message(role="system", content=self.purpose.system_prompt), Message(role="user", content=text)]


class ToolInterviewer(_ToolUser):
    """Looks at the repository with tools that change nothing, and then decides what to ask."""

    def next_question(
        self, task: PairTask, log: WorkLog, *, always: bool, seed: int
    ) -> RequestGenerator[Question | None]:
        """Return what to ask now, or None; see `Interviewer.next_question`."""
        skip = "" if always else f"If nothing has to be asked, answer with the word {PROCEED}. Otherwise: "
        ask = (
            "Look at the repository with your tools first: the code, the tests, the documentation. You cannot change "
            f"it now. {skip}{ASKING}"
        )
        defended = yield from self._turn(self._opening(task, ask), _toolbox(_looking(task.workspace)), log, seed)
        text = defended.reply.text
        if not always and (proceeds(text) or not text.strip()):
            return None
        question = read_question(text, task.findings)
        return None if any(question.text == one.question.text for one in task.exchanges) else question


class ToolWriter(_ToolUser):
    """Resolves an issue with tools that search, read, edit and run.

    Args:
        model: the model.
        purpose: who it is.
        steps: replies with calls in one turn.
        repairs: times that it is told what the tests say, and goes on.
    """

    def __init__(self, model: Model, purpose: Purpose, steps: int, repairs: int) -> None:
        super().__init__(model, purpose, steps)
        self._repairs = repairs

    def write(self, task: PairTask, log: WorkLog, seed: int) -> RequestGenerator[None]:
        """Make attempts until one passes the tests; see `FunctionWriter.write`."""
        task.reset()
        workspace = task.workspace
        toolbox = _toolbox([*_looking(workspace), workspace.edit, workspace.create, workspace.diff])
        messages = self._opening(
            task,
            f"{task.revision}Resolve the issue in the repository with your tools. Look first, then edit, then run the "
            "tests. Answer with one sentence that says what you changed when you are done.",
        )
        for number in range(self._repairs + 1):
            defended = yield from self._turn(messages, toolbox, log, seed + number)
            log.message(defended.reply.message)
            attempt = task.attempt()
            log.attempt(attempt)
            if attempt.passed:
                return
            summary = marked("tests", workspace.masked(attempt.summary()), 4000)
            messages += [*defended.messages, defended.reply.message]
            messages += [Message(role="user", content=f"{summary}\n\nThat does not do it yet. Go on.")]


def _looking(workspace: Workspace) -> list[Callable[..., str]]:
    """Return what changes nothing; commands and tests run on a copy."""
    return [
        workspace.list_files,
        workspace.search,
        workspace.find_symbol,
        workspace.outline,
        workspace.read,
        workspace.run,
        workspace.run_tests,
    ]


def _toolbox(functions: Sequence[Callable[..., str]]) -> Toolbox:
    return Toolbox.of(*(function_tool(one, timeout=TOOL_SECONDS, max_characters=24_500) for one in functions))
