"""Action items: who asks for what, until when, each with the characters of the message that say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Literal

from telic.assistants.drafts.clauses import clause_spans, unwrapped
from telic.assistants.drafts.cues import clause_cues, mail_cues
from telic.assistants.drafts.due import common_due, due_of
from telic.assistants.drafts.linear import LinearModel

__all__ = ["ActionItem", "action_items"]

_QUESTION_ONLY = re.compile(
    r"^\W*(?:and |also,? |but |so )?(?:is|are|was|when|what|which|who|where|how|why|do|does|did|have|has)\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\b(?:let (?:me|us) know|lmk|tell (?:me|us)|get back to|revert|yes or no|your call|up to you|thoughts|votes?|prefer(?:ence)?|any chance|"
    r"wondering|hoping|suits?|look(?:ing)? forward to|await\w*|hear from|confirm|reply|respond|rsvp|advise|clarify|shout|holler)\b",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s<>\"')\]]+")
_REFERS = re.compile(
    r"^\W*(?:just |please )?let (?:me|us) know (?:if|whether) (?:that|this|it)\b|^\W*please (?:let me know|advise|\w+ (?:this|it|that))\W*$",
    re.I,
)


MOST = 400
"""Clauses of a message that are read."""


@dataclass(frozen=True, slots=True)
class ActionItem:
    """Something that a message asks its recipient to do."""

    text: str
    """The words of the message that ask for it, on one line: other people's words."""
    start: int
    """Where they are in the message's text: `text[start:end]`."""
    end: int
    due: str = ""
    """Until when, in the words of the message; empty if it does not say."""
    kind: Literal["answer", "do"] = "do"
    """`answer`: the reply itself settles it."""
    url: str = ""
    """A link that the request names. Shown only; never opened, and never copied into a draft."""
    probability: float = 1.0
    """How probable it is that these words ask for something."""
    cues: tuple[str, ...] = ()
    """What in the words, beside them and in the mail speaks most for it: see `telic.assistants.drafts.cues`."""


@cache
def _model() -> LinearModel:
    return LinearModel.shipped("requests")


def action_items(text: str, subject: str = "", model: LinearModel | None = None) -> list[ActionItem]:
    """Find what a message asks for, in the order in which it asks.

    A logistic model weighs the cues of each sentence; what it was fitted on is in its file and in `docs/drafts.md`.

    Args:
        text: what its sender wrote, without quotations.
        subject: its subject, which says whether it is an answer or a notice.
        model: weighs the cues; by default the one that is shipped.
    """
    flat = unwrapped(text)
    spans = list(islice(clause_spans(flat), MOST))
    clauses = [flat[start:end] for start, end in spans]
    of_mail = mail_cues(flat, subject)
    common = common_due(flat)
    model = model or _model()
    found: list[ActionItem] = []
    for index, (start, end) in enumerate(spans):
        clause = clauses[index]
        if _REFERS.search(clause) and found and found[-1].end >= start - 120:
            continue  # "Just let me know if that works" belongs to the question before it, as "Please prioritize this" does
        cues = clause_cues(clauses, index, of_mail)
        probability = model.probability(cues)
        if probability < model.threshold:
            continue
        link = _URL.search(flat, start, min(len(flat), end + 160))
        url = link[0].rstrip(".,;") if link else ""
        if url and found and found[-1].url == url:
            continue  # "Complete the form here: ..." belongs to what the form is for
        due = due_of(clause, clauses[index + 1] if index + 1 < len(clauses) else "", flat, common)
        kind: Literal["answer", "do"] = "answer" if _is_answer(clause) else "do"
        words = " ".join(clause.split())
        found.append(ActionItem(words, start, end, due, kind, url, probability, tuple(model.reasons(cues))))
    return found


def _is_answer(clause: str) -> bool:
    question = clause.rstrip(" \"')").endswith("?")
    if question and (
        _QUESTION_ONLY.match(clause) or not re.search(r"\b(?:can|could|would|will) (?:you|u)\b", clause, re.I)
    ):
        return True
    return _ANSWER.search(clause) is not None
