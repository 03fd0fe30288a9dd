"""What a model reads of an issue and of a repository, marked as data.

The issue, the repository and the tests' output are written by anybody. They stand between marks that they cannot close,
and the system prompt says that nothing between the marks is an instruction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AnsweredQuestion", "Question", "marked", "numbered"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the author of the issue."""

    text: str
    found: str = ""
    """What was found before it was asked."""
    options: tuple[str, ...] = ()
    """Answers that are likely; another one may be given."""

    def __str__(self) -> str:
        options = [f"{number}. {option}" for number, option in enumerate(self.options, start=1)]
        return "\n".join([self.text, *options])


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question and its answer."""

    question: Question
    answer: str


def marked(name: str, text: str, longest: int = 6000) -> str:
    """Return a text between marks, shortened in its middle. A mark in the text itself is broken up."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}\n[...]\n{text[-longest // 2 :]}"
    text = re.sub(rf"<(\s*/?\s*{name})", r"< \1", text, flags=re.IGNORECASE)
    return f"<{name}>\n{text.strip()}\n</{name}>"


def numbered(exchanges: Sequence[AnsweredQuestion]) -> str:
    """Return what was asked and answered, as a model reads it; empty if nothing was."""
    if not exchanges:
        return ""
    return marked("answers", "\n".join(f"Question: {one.question}\nAnswer: {one.answer}" for one in exchanges))
