"""What kind of message it is: from a person, from a machine, automatic, bulk, or suspicious. Only rules, no model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from telic.assistants.mail.message import MailMessage

__all__ = ["Judgement", "Nature", "nature_of"]

Nature: TypeAlias = Literal["person", "machine", "automatic", "bulk", "suspicious"]
"""`machine`: a notice that nobody reads the answers to. `automatic`: an out-of-office or delivery report. `bulk`: a
newsletter or an advertisement. `suspicious`: spam, or an attempt to cheat."""

ENOUGH = 2
"""Signs of fraud that make a message suspicious; some count for two."""
BEGINNING = 300
"""Characters at the start of a text in which an automatic reply says what it is."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What kind of message it is, and why."""

    nature: Nature
    reason: str


_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:auto(?:matic)?[- ]?(?:reply|response|submitted)|out of (?:the )?office|abwesenheit|undeliver|delivery status|"
    r"mail delivery (?:failed|subsystem)|read:|accepted:|declined:|tentative:|réponse automatique)",
    re.IGNORECASE,
)
_AUTOMATIC_TEXT = re.compile(
    r"\bauto(?:matic)?[- ]?(?:reply|response)\b|\b(?:i am|i'm|i will be) (?:currently )?(?:out of (?:the )?office|on (?:annual |parental )?leave|away"
    r" from (?:the office|my desk))|\bhave (?:very )?limited (?:e-?mail )?(?:access|connectivity)\b|\bwill (?:respond|reply) "
    r"(?:to (?:your|urgent) \w+ )?(?:up)?on my return\b",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"(?:no|do-?not)[-_.]?reply|(?:calendar-?)?notifications?|mailer-daemon|postmaster|bounces?|ship-?confirm|orders?|"
    r"receipts?|alerts?|updates?|insights|auto-?confirm|[\w.+-]*[-_.]no-?reply(?:[-_.][\w.+-]*)?|no-?reply[\w.+-]*|[\w.+-]+-?bot",
    re.IGNORECASE,
)
_BULK_SENDER = re.compile(
    r"(?:news(?:letters?)?|marketing|promo(?:tion)?s?|offers?|deals?|digest|hello|campaigns?|mailing|announce(?:ments)?)\d*",
    re.IGNORECASE,
)
_BULK_TEXT = re.compile(
    r"\bunsubscribe\b|\bview (?:this|it) in (?:your|a) browser\b|\b\d{1,2} ?% off\b|\bflash (?:sale|deal)\b|\bcoupon\b|"
    r"\blimited[- ]time (?:offer|deal)\b|\bdiscounted rate\b|\bspecial offers?\b|\breserved seat\b|\bno (?:renewals|obligation)\b|"
    r"\b(?:this week in|daily roundup|weekly digest|your (?:daily|weekly) )\b|\bnew (?:courses|recommendations|features)\b",
    re.IGNORECASE,
)
_LABELS = {"promotions": "bulk", "social": "bulk", "updates": "machine", "forums": "bulk", "spam": "suspicious"}

_FRAUD: tuple[tuple[str, int, re.Pattern[str]], ...] = tuple(
    (name, weight, re.compile(pattern, re.IGNORECASE))
    for name, weight, pattern in (
        ("it offers a prize or an inheritance", 2, r"\b(?:you(?:'ve| have)? (?:won|been (?:selected|chosen))|lottery|inheritance|claim (?:your|now)|beneficiary|next of kin)\b"),
        ("it asks to confirm an account or its data", 2, r"\b(?:verify|confirm|validate|update) (?:your |the )?(?:\w+ )?(?:account|identity|password|billing|credentials|bank)\b|\baccount (?:\w+ )?(?:suspended|locked|limited)\b|\bunusual (?:sign-?in|activity|login)"),
        ("it sells drugs or copies", 2, r"\b(?:v[il1]agra|cia[l1]is|xanax|valium|vicodin|levitra|rep[l1]i+cas?|pharmacy|no prescription|rx)\b"),
        ("it asks for money in an unusual way", 1, r"\b(?:wire transfer|gift cards?|bitcoin|western union|overdue|settle (?:now|immediately)|bank (?:account|details))\b"),
        ("it presses", 1, r"!!|\b(?:act now|asap!|immediately or|within (?:24|48) hours|final (?:notice|warning)|expires? (?:today|in)|last chance|click (?:here|below|to|the link))\b"),
        ("its words are broken up to pass filters", 2, r"(?: [.,] [^.,]{1,60}){4}|\b(?:[a-z] \. ){2}"),
        ("it comes from a kind of domain that spam favours", 1, r"@[^\s@]*\.(?:biz|top|ru|click|xyz|info|win|loan|cc)(?:$|\s)"),
        ("its subject is written for the recipient's name", 1, r"^\W*\w+[. ]\w+ ?[-:] ?.*(?:urgent|now|asap|special)"),
    )
)  # fmt: skip
_BRANDS = re.compile(
    r"\b(?:bank|paypal|micr[o0]soft|amazon|apple|google|netflix|dhl|fedex|support|security|billing)\b", re.I
)


def nature_of(message: MailMessage) -> Judgement:
    """Judge a message by its headers, its sender and its words."""
    found = _suspicious(message)
    if found:
        return Judgement("suspicious", found)
    if _AUTOMATIC_SUBJECT.match(message.subject) or _AUTOMATIC_TEXT.search(message.text[:BEGINNING]):
        return Judgement("automatic", "it says that it is an automatic reply")
    headers = message.headers
    if (
        headers.get("auto-submitted", "no").lower() != "no"
        or "x-autoreply" in headers
        or headers.get("precedence") == "auto_reply"
    ):
        return Judgement("automatic", "its headers say that a program sent it")
    for label in _labels(message):
        if label in _LABELS:
            return Judgement("bulk" if _LABELS[label] == "bulk" else "machine", f"it has the label {label!r}")
    local = message.sender.email.partition("@")[0]
    if {"list-unsubscribe", "list-id", "feedback-id"} & headers.keys() or headers.get("precedence") in ("bulk", "list"):
        return Judgement("bulk", "its headers say that it went to a list")
    if _BULK_SENDER.fullmatch(local) or _BULK_TEXT.search(f"{message.subject}\n{message.text}"):
        return Judgement("bulk", "it is a newsletter or an advertisement by its sender or its words")
    if _MACHINE.fullmatch(local) or not message.sender.email:
        return Judgement("machine", "its sender is not a person")
    return Judgement("person", "nothing says that it is not from a person")


def _suspicious(message: MailMessage) -> str:
    if "spam" in _labels(message) or message.headers.get("x-spam-flag", "").lower() == "yes":
        return "it is marked as spam"
    if message.sender.is_spoofed:
        return "the name of its sender is another address"
    reasons, weight = [], 0
    for reason, points in _signs(message):
        reasons.append(reason)
        weight += points
    return "; ".join(reasons) if weight >= ENOUGH else ""


def _signs(message: MailMessage) -> Iterator[tuple[str, int]]:
    text = f"{message.subject}\n{message.text[:5000]}\n{message.sender.email}"
    for name, weight, pattern in _FRAUD:
        if pattern.search(message.subject if pattern.pattern.startswith("^") else text):
            yield name, weight
    brand = _BRANDS.search(message.sender.name)
    if brand and brand[0].lower() not in message.sender.domain.replace("0", "o"):
        yield "its sender names a company that its address does not", 1
    if message.redirects_replies and message.reply_to[0].domain != message.sender.domain:
        yield "replies would go to another domain", 1


def _labels(message: MailMessage) -> set[str]:
    labels = message.headers.get("x-gmail-labels", "") + "," + message.headers.get("x-keywords", "")
    return {label.strip().lower() for label in labels.split(",")}
