"""Until when: the time that a request gives, in the words of its mail."""

from __future__ import annotations

import re

__all__ = ["common_due", "due_in", "due_of"]

_DAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)day|mon|tues?|weds?|thurs?|fri|sat"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"\d{1,2}(?:[:.]\d\d)?\s?(?:a\.?m\b\.?|p\.?m\b\.?)|\d{1,2}[:.]\d\d|noon|midday|midnight|lunch(?:time)?|(?:half|quarter) past \w+|\d{1,2} o['’]clock"
_WHEN = (
    rf"(?:(?:(?:next |this |on )?(?:{_DAY})(?:,? (?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: (?:of )?{_MONTH})?|,? {_MONTH} \d{{1,2}})?|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?|"
    rf"(?:the )?\d{{1,2}}(?:st|nd|rd|th)|\d{{4}}-\d\d-\d\d|\d{{1,2}}/\d{{1,2}}|today|tonight|tomorrow|tmrw|tmw|tmrrw|eod|cob|cop|close of (?:play|business)|end of (?:the )?(?:day|week|month|term)|month end|year end|"
    rf"(?:this|next|the) (?:week(?:end)?|w/e|wknd|month|afternoon|morning|evening)|half[- ]term|christmas|easter|thanksgiving)"
    rf"(?:,?(?: at| by| around)? (?:{_CLOCK}|night|nite|morning|am|pm|eod|afternoon|evening)(?![-\w]))?|(?:{_CLOCK})(?: (?:today|tomorrow|tmrw|on )?\s?(?:{_DAY})?)?)"
)
_DUE = re.compile(
    rf"\b(?:by|before|until|till?|no later than|(?:at the )?latest(?: by)?|due(?: on| by)?|ends?(?: on)?|deadline(?: is|:)?|within|ahead of|closes?(?: on)?|shuts?(?: on)?|expires?(?: on)?|submit at)\s+(?:the )?({_WHEN}|then|\d+ (?:hours?|days?))(?!\w)",
    re.IGNORECASE,
)
_TIME = re.compile(rf"\b({_WHEN})(?!\w)", re.IGNORECASE)
_NEXT = re.compile(
    r"\b(?:by|before|until|till?|latest|deadline|closes?|shuts?|locks?|prints?|to (?:print|press)|wants?|needs?|goes|due|expires?)\b",
    re.IGNORECASE,
)
_PAST = re.compile(r"\b(?:sent|shared|asked|said|from|since|last|on) *$", re.IGNORECASE)
_FULL_STOP = re.compile(r"(?:(?<=[a-z]{3})|(?<=[ap]m))\.$", re.IGNORECASE)
"""That of the sentence, or of a month that is cut short; not that of `p.m.`."""
_ELSEWHERE = re.compile(
    r"\b(?:the due date|the deadline|before then|by then|before the (?:meeting|call|review))\b", re.IGNORECASE
)


def due_in(text: str) -> str:
    """Return until when something is to be done, in the words of a text; empty if it does not say."""
    match = _DUE.search(text) or _TIME.search(text)
    return _words(match[1]) if match else ""


def due_of(clause: str, following: str, text: str, common: str) -> str:
    """Return until when a request is to be met, in the words of its mail; empty if it does not say.

    Args:
        clause: the words that ask.
        following: the sentence after them, which may say by when it is needed.
        text: the whole mail.
        common: the date that it gives for all that it asks.
    """
    stated = _DUE.search(clause)
    if stated and stated[1].lower() != "then":
        return _words(stated[1])
    if common or _ELSEWHERE.search(clause):
        return common or due_in(text)
    time = _TIME.search(clause)
    if time and not _PAST.search(clause[: time.start()]):
        return _words(time[1])
    if not time and _NEXT.search(following) and not following.endswith("?"):
        return due_in(following)
    return ""


def common_due(flat: str) -> str:
    """Return the date that a message gives for all that it asks: `Two things before Friday:`."""
    match = re.search(
        r"[^.!?\n]{0,80}\b(?:two|three|four|a few|some|several) (?:things|items|points|requests)[^.!?\n]{0,40}",
        flat,
        re.I,
    )
    return due_in(match[0]) if match else ""


def _words(time: str) -> str:
    return _FULL_STOP.sub("", " ".join(time.split()))
