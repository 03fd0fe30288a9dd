"""A pair programmer's session in the terminal: findings, questions, the diff, and the person's decision.

The repository, the issue and the model's texts are written by others: control characters in them are shown, not obeyed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from telic.agents.human import read_line
from telic.terminal import printable, reviewable

if TYPE_CHECKING:
    from telic.assistants.pairing.attempts import Attempt
    from telic.assistants.pairing.findings import Findings
    from telic.assistants.pairing.session import PatchDecision
    from telic.assistants.pairing.texts import Question

__all__ = ["AbsentPerson", "TerminalPerson"]

CHOICES = "[a]ccept  [e]dit  [r]evert  [c]omment  [q]uit"


class AbsentPerson:
    """Nobody is there: nothing is asked, and the patch is left as it is.

    Args:
        quiet: show nothing on standard error.
    """

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)

    def see_findings(self, findings: Findings) -> None:
        """Show what was found."""
        self._say(findings.summary())

    def answer(self, question: Question) -> str:
        """Give no answer."""
        self._say(f"Not asked, because there is no terminal: {question.text}")
        return ""

    def see_attempt(self, attempt: Attempt) -> None:
        """Show the first line of an attempt's result."""
        self._say(f"Tried: {attempt.summary().splitlines()[0]}", style="dim")

    def decide(self, attempt: Attempt, stopped: str) -> PatchDecision:  # noqa: ARG002
        """Leave the patch."""
        from telic.assistants.pairing.session import PatchDecision

        if stopped:
            self._say(f"The work was stopped: {stopped}.")
        return PatchDecision("leave")

    def see_problem(self, problem: str) -> None:
        """Show a problem."""
        self._say(problem, style="red")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(printable(text), style=style))


class TerminalPerson(AbsentPerson):
    """A person at the terminal."""

    def __init__(self) -> None:
        super().__init__(quiet=False)

    def answer(self, question: Question) -> str:
        """Ask for an answer: the number of an option, or words. An empty line says that they do not know."""
        self._say("")
        self._say(question.text, style="bold")
        for number, option in enumerate(question.options, start=1):
            self._say(f"  {number}. {option}")
        hint = f"1 to {len(question.options)}, or your own words" if question.options else "your answer"
        line = self._read(f"{hint} (empty: you do not know)> ")
        if line.isdecimal() and 1 <= int(line) <= len(question.options):
            return question.options[int(line) - 1]
        return line

    def decide(self, attempt: Attempt, stopped: str) -> PatchDecision:
        """Show the diff and the tests, and ask what is to be done."""
        from telic.assistants.pairing.session import PatchDecision

        self._say("")
        if attempt.patch:
            self._console.print(Syntax(reviewable(attempt.patch), "diff", background_color="default", word_wrap=True))
        self._say(attempt.summary(), style="green" if attempt.passed else "yellow")
        if stopped:
            self._say(f"The work was stopped: {stopped}.", style="yellow")
        while True:
            line = self._read(f"{CHOICES}> ", leaving="q").lower()
            if line in ("q", "quit"):
                return PatchDecision("leave")
            if line in ("r", "revert"):
                return PatchDecision("revert")
            if line in ("c", "comment") and (comment := self._read("comment> ")):
                return PatchDecision("comment", comment)
            if line in ("a", "accept", "e", "edit") and not attempt.patch:
                self._say("There is no patch; comment, revert or quit.")
            elif line in ("a", "accept"):
                return PatchDecision("accept")
            elif line in ("e", "edit"):
                if (edited := self._edit(attempt.patch)) is not None:
                    return PatchDecision("edit", edited)
            elif line not in ("c", "comment"):
                self._say("Type a, e, r, c or q.")

    def _read(self, prompt: str, leaving: str = "") -> str:
        """Read a line; the end of the input counts as `leaving`."""
        try:
            return read_line(prompt).strip()
        except EOFError:
            return leaving

    def _edit(self, patch: str) -> str | None:
        """Open the patch in the person's editor; None if that fails."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if not editor:
            self._say("Set the environment variable EDITOR to a text editor, such as nano.")
            return None
        with tempfile.TemporaryDirectory(prefix="telic-pair-") as folder:
            file = Path(folder) / "issue.patch"
            file.write_text(patch, encoding="utf-8")
            try:
                status = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
            except (OSError, ValueError) as error:
                self._say(f"The editor {editor!r} cannot be started: {error}")
                return None
            if status:
                self._say(f"The editor {editor!r} ended with status {status}; nothing was changed.")
                return None
            return file.read_text(encoding="utf-8", errors="replace")
