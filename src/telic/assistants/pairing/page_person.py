"""The author of an issue who answers on a page, such as the dashboard's, and not in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.session import PatchDecision
from telic.assistants.pairing.texts import Question
from telic.issues.live import LiveBoard

__all__ = ["PagePerson"]


class PagePerson:
    """Waits for the answers that a person gives on a page.

    Args:
        board: what the page shows; the session keeps it up to date.
        on_notice: called with what happens, in a sentence.
    """

    def __init__(self, board: LiveBoard, on_notice: Callable[[str], None] = lambda _: None) -> None:
        self._board, self._say = board, on_notice

    def see_findings(self, findings: Findings) -> None:
        """Note what was found."""
        self._say(findings.summary())

    def answer(self, question: Question) -> str:
        """Wait for the answer to a question."""
        self._say(f"Waiting for your answer on the page: {question.text}")
        return self._board.wait("answer", question=question.text, options=question.options).text

    def see_attempt(self, attempt: Attempt) -> None:
        """Note the first line of an attempt's result."""
        self._say(f"Tried: {attempt.summary().splitlines()[0]}")

    def decide(self, attempt: Attempt, stopped: str) -> PatchDecision:  # noqa: ARG002 (the page shows it)
        """Wait for the decision."""
        self._say("Waiting for your decision on the page.")
        while True:
            answer = self._board.wait("decision")
            if answer.kind in ("accept", "edit") and not attempt.patch:
                self.see_problem("There is no patch; send it back with a comment, or discard it.")
            elif answer.kind == "comment" and not answer.text.strip():
                self.see_problem("The comment is empty; write what should be changed.")
            else:
                kind = cast("Literal['accept', 'edit', 'revert', 'comment']", answer.kind)
                return PatchDecision(kind, answer.text)

    def see_problem(self, problem: str) -> None:
        """Show a problem on the page."""
        self._say(problem)
        self._board.show(problem=problem)
