"""Action items: who asks for what, until when, each with the characters of the message that say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from telic.memory.words import sentence_spans

__all__ = ["ActionItem", "action_items", "due_in", "unwrapped"]

_VERBS = (
    "add|advise|answer|approve|arrange|assign|authori[sz]e|bring|call|cancel|change|check|choose|clarify|complete|confirm|coordinate|"
    "decide|deliver|ensure|escalate|explain|fill|finali[sz]e|fix|forward|get|give|help|identify|investigate|join|list|look|make|move|"
    "notify|outline|pay|ping|pick|point|prepare|prioriti[sz]e|provide|prep|remit|renew|reply|report|rerun|respond|return|review|rsvp|"
    "schedule|send|share|sign|specify|submit|summari[sz]e|sync|take|tell|triage|update|upload|validate|verify|weigh|write"
)
_REQUEST = re.compile(
    rf"\bplease (?:also |kindly |do )?(?:{_VERBS})\b|\b(?:can|could|would|will) (?:you|we|one of you|your team)(?: please| also| kindly)?\b"
    rf"|\bwould you (?:mind|be (?:able|willing))\b|\b(?:i|we)(?:'d| would)? (?:need|require|want|appreciate|like) (?:you|your|immediate|a|an|the|to|it)\b"
    rf"|\byou (?:must|need to|have to|should|are required to)\b|\b(?:do|did|have) you\b|\bare you\b|\bneed your\b|\blet me know (?!if you have)\w+"
    rf"|^\W*(?:{_VERBS})\b|\b(?:is|are|was) (?:there|it|that|this|the)\b|\b(?:when|what|which|who|where|how|why)\b|\bmandatory\b|\bmust (?:be )?(?:{_VERBS})",
    re.IGNORECASE,
)  # fmt: skip
_QUESTION_ONLY = re.compile(
    r"^\W*(?:and |also,? |but |so )?(?:is|are|was|when|what|which|who|where|how|why|do|does|did|have|has)\b",
    re.IGNORECASE,
)
_STRONG = re.compile(
    rf"\bplease (?:also |kindly |do )?(?:{_VERBS})\b|\b(?:can|could|would|will) (?:you|we|one of you|your team)\b|\bneed(?:s)? (?:your|you to|immediate|from you)\b"
    rf"|\byou (?:must|need to|have to|are required to)\b|\b(?:i|we)(?:'d| would)? need\b|\blet (?:me|us) know (?:if|whether|when|what|which|how|your|by)\b"
    rf"|^\W*(?:{_VERBS})\b (?!(?:you|us|me)? ?(?:soon|later)\b)|\bis (?:a )?mandatory\b|\blet's (?:confirm|agree|decide|pick|schedule)\b"
    rf"|\bwondering (?:if|whether|when)\b|\b(?:i'd|i would|we'd|we would) (?:like|appreciate|love|welcome|be grateful)\b.{{0,30}}\b(?:to see|your|you|if)\b",
    re.IGNORECASE,
)  # fmt: skip
_COURTESY = re.compile(
    r"\b(?:please (?:do not hesitate|don't hesitate|note|find|feel free|be advised|see (?:the )?attached|disregard|ignore)|feel free|"
    r"let (?:me|us) know if (?:you(?:'d| would)? (?:have|need|want|prefer|like)|there(?:'s| is| are)|anything|i can|that helps)|"
    r"no (?:action|need|reply|response) (?:is )?(?:needed|required|necessary|to)|no need|"
    r"for your (?:information|records)|read (?:the full|more)|thanks? (?:you )?for|how are you|hope (?:you|this|all)|"
    r"(?:i|we)(?:'ll| will) (?:email|let|update|keep|send|notify|share)|if you (?:have|need) any|can you believe|happy to)\b",
    re.IGNORECASE,
)  # fmt: skip
_NO_ACTION = re.compile(
    r"\bno (?:action|reply|response)(?: is)? (?:needed|required|necessary)\b|\bno need to (?:reply|respond|do)\b|\bfor (?:your )?visibility\b|"
    r"\bjust (?:wanted to say|letting you know|passing along|an? fyi)\b",
    re.IGNORECASE,
)
_DAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)day|mon|tue|wed|thu|fri"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_WHEN = (
    rf"(?:(?:(?:next |this )?(?:{_DAY})(?:,? \d{{1,2}} {_MONTH}|,? {_MONTH} \d{{1,2}})?|\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?|"
    rf"\d{{4}}-\d\d-\d\d|today|tonight|tomorrow|eod|cob|end of (?:the )?(?:day|week|month)|(?:this|next) (?:week|month|afternoon|morning)|noon)"
    rf"(?:,?(?: at| by)? \d{{1,2}}(?::\d\d)?\s?(?:am|pm)?(?![-\d]))?|\d{{1,2}}(?::\d\d)?\s?(?:am|pm)\b(?: (?:today|tomorrow|on )?(?:{_DAY})?)?|\d{{1,2}}:\d\d)"
)
_DUE = re.compile(
    rf"\b(?:by|before|until|till|no later than|due(?: on| by)?|ends?(?: on)?|deadline(?: is|:)?|within|closes?(?: on)?)\s+(?:the )?({_WHEN}|\d+ (?:hours?|days?))\b",
    re.IGNORECASE,
)  # fmt: skip
_TIME = re.compile(rf"\b({_WHEN})(?!\w)", re.IGNORECASE)
_PAST = re.compile(r"\b(?:sent|shared|asked|said|from|since|last|on) *$", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(?:the due date|the deadline|before then|by then|before the (?:meeting|call|review))\b", re.IGNORECASE
)
_ANSWER = re.compile(r"\blet (?:me|us) know\b|\b(?:confirm|reply|respond|rsvp|advise|clarify)\b", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"')\]]+")
_ITEM = re.compile(r"(?:^|\s)(?:\(\d{1,2}\)|\d{1,2}[.)]|[-*•])\s+", re.MULTILINE)
_REFERS = re.compile(
    r"^\W*(?:just |please )?let (?:me|us) know (?:if|whether) (?:that|this|it)\b|^\W*please (?:let me know|advise|\w+ (?:this|it|that))\W*$",
    re.I,
)


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


def unwrapped(text: str) -> str:
    """Return a text of the same length in which a line that goes on is no new line."""
    return re.sub(r"(?<=[^\n.!?:;])\n(?=[a-z0-9(\"'$])(?!\d{1,2}[.)] )", " ", text)


def action_items(text: str) -> list[ActionItem]:
    """Find what a message asks for, by rules, in the order in which it asks.

    Args:
        text: what its sender wrote, without quotations.
    """
    flat = unwrapped(text)
    calm = _NO_ACTION.search(flat) is not None
    common = _common_due(flat)
    found: list[ActionItem] = []
    for start, end in _clauses(flat):
        clause = flat[start:end]
        question = clause.rstrip(" \"')").endswith("?")
        if _REFERS.search(clause) and found and found[-1].end >= start - 120:
            continue  # "Just let me know if that works" belongs to the question before it, as "Please prioritize this" does
        asked = _STRONG.search(clause) is not None or (question and _REQUEST.search(clause) is not None)
        if not asked or _COURTESY.search(clause) or (calm and not question):
            continue
        link = _URL.search(flat, start, min(len(flat), end + 160))
        url = link[0].rstrip(".,;") if link else ""
        if url and found and found[-1].url == url:
            continue  # "Complete the form here: ..." belongs to what the form is for
        answer = _is_answer(clause, question)
        due = _due(clause, flat, common)
        found.append(ActionItem(" ".join(clause.split()), start, end, due, "answer" if answer else "do", url))
    return found


def due_in(text: str) -> str:
    """Return until when something is to be done, in the words of a text; empty if it does not say."""
    match = _DUE.search(text) or _TIME.search(text)
    return " ".join((match[1] if match else "").split())


def _due(clause: str, text: str, common: str) -> str:
    stated = _DUE.search(clause)
    if stated:
        return " ".join(stated[1].split())
    if common or _ELSEWHERE.search(clause):
        return common or due_in(text)
    time = _TIME.search(clause)
    return " ".join(time[1].split()) if time and not _PAST.search(clause[: time.start()]) else ""


def _is_answer(clause: str, question: bool) -> bool:
    if question and (_QUESTION_ONLY.match(clause) or re.search(r"\b(?:can|could) we\b", clause, re.IGNORECASE)):
        return True
    return _ANSWER.search(clause) is not None


def _common_due(flat: str) -> str:
    """Return the date that a message gives for all that it asks: `Two things before Friday:`."""
    match = re.search(
        r"[^.!?\n]{0,80}\b(?:two|three|four|a few|some|several) (?:things|items|points|requests)[^.!?\n]{0,40}",
        flat,
        re.I,
    )
    return due_in(match[0]) if match else ""


def _clauses(flat: str) -> Iterator[tuple[int, int]]:
    """Yield the places of sentences, and of the items of lists within them."""
    for start, end in sentence_spans(flat):
        cuts = [match.start() + (flat[start + match.start()].isspace()) for match in _ITEM.finditer(flat[start:end])]
        edges = [0, *(cut for cut in cuts if cut), end - start]
        for first, last in pairwise(edges):
            begin = start + first
            marker = re.match(r"(?:\(\d{1,2}\)|\d{1,2}[.)]|[-*•])\s+", flat[begin : start + last])
            begin += marker.end() if marker else 0
            stop = start + last
            while stop > begin and flat[stop - 1] in " \n,":
                stop -= 1
            if stop > begin:
                yield begin, stop
