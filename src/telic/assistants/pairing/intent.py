"""The part that decides whether to ask: only if what is missing would change the patch.

It has a purpose and a dialogue of its own, so that the part that writes code is not tempted to get on with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from telic.agents.agent import controls_of
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.texts import Exchange, Question, marked, numbered
from telic.dialogue import Message
from telic.models import Model, Reply, Request, Sampling
from telic.models.requesting import RequestGenerator, ask
from telic.purpose import Purpose

__all__ = ["Interviewer"]

NO, YES = "no", "yes"
MOST_OPTIONS = 4
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
        self, issue: str, findings: Findings, code: str, exchanges: Sequence[Exchange], *, always: bool, seed: int
    ) -> RequestGenerator[Question | None]:
        """Return what to ask now, or None.

        Args:
            issue: the text of the issue.
            findings: what was found in the repository.
            code: the code that the issue is about.
            exchanges: what was asked before.
            always: ask in any case.
            seed: seed of the replies.
        """
        told = "\n\n".join(
            filter(None, [marked("issue", issue), _evidence(findings), marked("code", code), numbered(exchanges)])
        )
        if not always:
            decision = "Is something missing that only the author can say, and would the answer change the patch?"
            reply = yield from self._ask(f"{told}\n\n{decision}", seed, choices=(NO, YES))
            if reply.text != YES:
                return None
        reply = yield from self._ask(f"{told}\n\n{ASKING}", seed)
        question = read_question(reply.text, findings)
        return None if any(question.text == one.question.text for one in exchanges) else question

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
    "Ask the author one short question about what is missing. On the lines after it, write two to four answers that are "
    "likely, each on a line that begins with its number."
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
