"""What in a mail asks for its user: a question, a deadline, an alarm; and what was sent to many."""

from __future__ import annotations

import re

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.text import shortened
from telic.memory.words import sentence_spans

__all__ = ["asks_for_attention"]

READ = 3000
"""Characters of a mail that are read."""
_AUTOMATIC = re.compile(
    r"no-?reply|do-?not-?reply|newsletters?@|notifications?@|updates?@|marketing|promo|deals|offers|digest@|news@|"
    r"ship-?confirm|receipts?@|auto-?confirm|community@|hello@|feedback@|survey",
    re.IGNORECASE,
)
_ADVERTISING = re.compile(
    r"\bunsubscribe\b|\d+\s?% off\b|\b(?:sale|deals?|discount|coupon|promo code|free shipping|shop now|limited time|newsletter|"
    r"roundup|webinar|special offer|act now|has shipped|order (?:confirm|number)|connection requests?|grow your|weekly digest|"
    r"view in browser|you may like|recommended for you)\b",
    re.IGNORECASE,
)
_ALARM = re.compile(
    r"\bP[01]\b|\b(?:sev[- ]?[01]|incident|outage|(?:is|are|goes|went) down|production|breach|data loss|escalat\w+|urgent(?:ly)?|"
    r"critical|emergency|asap|immediately|expires? (?:today|tonight|tomorrow|soon)|overdue|final notice|blocked|blocker|blocking)\b",
    re.IGNORECASE,
)
_DEADLINE = re.compile(
    r"\b(?:by|before|until|due|deadline|no later than|closes?|ends?|expires?)\b[^.!?\n]{0,25}\b(?:eod|eow|cob|end of (?:the )?(?:day|week)|today|"
    r"tonight|tomorrow|noon|midnight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|\d{1,2}\s?(?:am|pm)|\d{1,2}:\d{2}|"
    r"jan\w*|feb\w*|mar(?:ch)?|apr\w*|may|june?|july?|aug\w*|sep\w*|oct\w*|nov\w*|dec\w*)\b|\b(?:eod|cob)\b",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"\b(?:can|could|would|will) you\b|\bplease (?!note\b|see\b|enjoy\b|visit\b)\w+|\b(?:need|want|require|waiting (?:for|on)|awaiting) (?:you|your)\b|"
    r"\blet me know\b|\byour (?:approval|sign-?off|signature|review|decision|answer|reply|response|confirmation|input|feedback)\b|"
    r"\b(?:sign|approve|confirm|reply|respond|review|decide|submit|complete|fill (?:in|out))\b[^.!?\n]{0,60}\b(?:by|before|today|tomorrow|asap)\b|"
    r"\bwhat do you think\b|\bare you (?:able|free|available|ok|okay)\b|\bdo you have\b",
    re.IGNORECASE,
)


def asks_for_attention(item: DigestItem) -> tuple[float, str]:
    """Return how much a mail asks for its user, 0 to 1, and the words that do; 0 for what is no mail, or may not ask.

    It only decides what is shown higher up. A mail that claims to be urgent gains no more than an honest one.
    """
    if item.kind != "mail" or not item.asks:
        return 0.0, ""
    text = f"{item.title}\n{item.text[:READ]}"
    found = [pattern.search(text) for pattern in (_ALARM, _DEADLINE, _REQUEST)]
    score = sum(weight for weight, one in zip((0.45, 0.3, 0.4), found, strict=True) if one)
    if "?" in item.text[:READ]:
        score += 0.1
    if item.bulk or _AUTOMATIC.search(item.author):
        score *= 0.4
    if _ADVERTISING.search(text):
        score *= 0.25
    first = next((one for one in (found[2], found[1], found[0]) if one), None)
    return min(score, 1.0), _sentence(text, first.start()) if first else ""


def _sentence(text: str, place: int) -> str:
    for start, end in sentence_spans(text):
        if start <= place < end:
            return shortened(" ".join(text[start:end].split()), 120)
    return ""
