"""The part that decides whether to ask: only if what is missing would change the patch.

It has a purpose and a dialogue of its own, so that the part that writes code is not tempted to get on with it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from telic.agents.agent import controls_of
from telic.assistants.pairing.asking import asking_dialogue, proceeds
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.task import PairTask, WorkLog
from telic.assistants.pairing.texts import Question, marked, numbered
from telic.dialogue import Message
from telic.models import Model, Reply, Request, Sampling
from telic.models.requesting import RequestGenerator, ask
from telic.purpose import Purpose

__all__ = ["ASKING", "Interviewer", "read_question"]

NO, YES = "no", "yes"
MOST_OPTIONS = 4
SHOWN_PLACES = 2
"""Definitions whose code is shown before a question."""
SAMPLING = Sampling(max_new_tokens=160, temperature=0.0)
_OPTION = re.compile(r"^\s*(?:\(?\d[.):]|[-*•])\s*(\S.*)$")
_LABEL = re.compile(r"^\W*question\W*:\W*", re.IGNORECASE)


class Interviewer:
    """Decides what to ask the author of an issue.

    Args:
        model: the model.
        purpose: who it is; its system prompt, sampling and controls are used.
    """

    def __init__(self, model: Model, purpose: Purpose) -> None:
        self.model, self.purpose = model, purpose
        self._controls = controls_of(purpose)
        self._sampling = replace(SAMPLING, **purpose.sampling.options())

    def next_question(
        self, task: PairTask, log: WorkLog, *, always: bool, seed: int
    ) -> RequestGenerator[Question | None]:
        """Return what to ask now, or None. If the purpose has a planner, it decides.

        Args:
            task: the issue, what was found, and what was asked before.
            log: gets the replies.
            always: ask in any case.
            seed: seed of the replies.

        Raises:
            ModelError: the model failed.
        """
        if self.purpose.planner is not None and not always:
            return (yield from self._planned_question(task, log, seed))
        code = "\n".join(f"# {place}\n{place.source}" for place in task.findings.places[:SHOWN_PLACES])
        found = task.workspace.masked(f"{_evidence(task.findings)}\n\n{marked('code', code)}")
        told = "\n\n".join(filter(None, [marked("issue", task.issue), found, numbered(task.exchanges)]))
        if not always:
            decision = "Is something missing that only the author can say, and would the answer change the patch?"
            reply = yield from self._ask(f"{told}\n\n{decision}", seed, choices=(NO, YES))
            if reply.text != YES:
                return None
        reply = yield from self._ask(f"{told}\n\n{ASKING}", seed)
        log.message(Message(role="assistant", content=reply.text))
        question = read_question(reply.text, task.findings)
        return None if any(question.text == one.question.text for one in task.exchanges) else question

    def _planned_question(self, task: PairTask, log: WorkLog, seed: int) -> RequestGenerator[Question | None]:
        """Let the planner decide, in the dialogue in which it was trained."""
        exchanges = [(one.question.text, one.answer) for one in task.exchanges]
        dialogue = asking_dialogue(self.purpose.system_prompt, task.issue, exchanges)
        sampling = replace(self._sampling, seed=seed, stop=(*self._sampling.stop, "\n"))
        if task.session is None:
            task.session = self.model.session()
        task.session.dialogue = dialogue
        request = task.session.request(controls=self._controls, sampling=sampling)
        reply = yield from ask(self.model, request)
        reply.raise_if_failed(f"model {self.model.name!r}")
        log.message(Message(role="assistant", content=reply.text))
        text = reply.text.strip()
        if not text or proceeds(text) or any(text == question for question, _ in exchanges):
            return None
        return Question(text, task.findings.summary())

    def _ask(self, text: str, seed: int, choices: tuple[str, ...] = ()) -> RequestGenerator[Reply]:
        messages = (
            Message(role="system", content=self.purpose.system_prompt),
            Message(role="user", content=text),
        )
        request = Request(messages, replace(self._sampling, seed=seed), self._controls, choices=choices)
        reply = yield from ask(self.model, request)
        if reply.failure is not None and reply.failure.kind == "unreadable_choice":
            return replace(reply, text=NO, finish="stop", failure=None)
        reply.raise_if_failed(f"model {self.model.name!r}")
        return reply


ASKING = (
    "Ask the author one short question about what is missing. On the lines after it, write two to four answers that "
    "are likely, each on a line that begins with its number."
)


def read_question(text: str, findings: Findings) -> Question:
    """Read a question and its numbered options. An unreadable one becomes a plain question about the first place."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    options = [match[1] for line in lines if (match := _OPTION.match(line))]
    said = [_LABEL.sub("", line) for line in lines if not _OPTION.match(line)]
    asked = next((line for line in said if line.endswith("?")), said[0] if said else "")
    if not asked.strip():
        about = f"`{findings.places[0].symbol.name}`" if findings.places else "it"
        asked = f"What should {about} do instead of what it does now?"
    return Question(asked, findings.summary(), tuple(dict.fromkeys(options))[:MOST_OPTIONS])


def _evidence(findings: Findings) -> str:
    failing = "\n".join(f"{name}: {message[-300:]}" for name, message in list(findings.failing.items())[:3])
    return marked("found", "\n".join(filter(None, [findings.summary(), failing])), 2000)
