"""Bytes of a message to a `MailMessage`. Broken MIME and wrong encodings become problems of the message, not errors."""

from __future__ import annotations

import email
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC
from email.message import Message
from email.policy import compat32
from email.utils import parsedate_to_datetime

from telic.assistants.mail.addresses import parse_addresses
from telic.assistants.mail.html_text import html_to_text
from telic.assistants.mail.message import NOBODY, MailMessage
from telic.assistants.mail.quotes import split_quoted
from telic.assistants.mail.words import decoded, decoded_words, header_line, visible

__all__ = ["parse_message"]

MOST_PARTS = 100
"""MIME parts of a message that are looked at."""
DEEPEST = 10
"""Nested MIME parts; what lies deeper is left out."""
LONGEST_PART = 1_000_000
"""Bytes of a part of text that are read."""
MOST_REFERENCES = 100
_KEPT_HEADERS = (
    "auto-submitted", "authentication-results", "delivered-to", "feedback-id", "importance", "list-id", "list-post",
    "list-unsubscribe", "precedence", "return-path", "x-auto-response-suppress", "x-autoreply", "x-gmail-labels",
    "x-keywords", "x-mailer", "x-priority", "x-spam-flag",
)  # fmt: skip
_LABEL_HEADERS = frozenset({"x-gmail-labels", "x-keywords"})
"""Labels of the user. They count only above the first `Received`, where no sender can write."""
_ID = re.compile(r"<([^<>\s]{1,500})>")


def parse_message(data: bytes, *, folder: str = "", longest: int = 100_000) -> MailMessage:
    """Read a message. Never raises for what is in it.

    Args:
        data: the message as it was sent, headers first.
        folder: the mailbox that it is from.
        longest: characters of text that are kept; the rest is left out.
    """
    problems: list[str] = []
    try:
        mime = email.message_from_bytes(data, policy=compat32)
        headers = _headers(mime)
        text, attached, names, hidden = _content(mime, problems)
    except (
        Exception
    ) as error:  # the parser of the standard library has bugs; no message may use them to stop the reading
        problems.append(f"it cannot be parsed ({type(error).__name__})")
        headers, text, attached, names, hidden = {}, decoded(data[:longest], None), "", (), 0
    text, unseen = visible(text)
    hidden += unseen
    if len(text) > longest:
        problems.append(f"cut after {longest:,} of {len(text):,} characters")
        text = text[:longest]
    own, quoted = split_quoted(text)
    if hidden:
        problems.append(f"{hidden:,} characters of hidden text were left out")
    senders = parse_addresses(headers.get("from", ""))
    known = _ids(headers.get("message-id", ""))
    return MailMessage(
        id=known[0] if known else f"{hashlib.sha256(data).hexdigest()[:24]}@no-message-id",
        sender=senders[0] if senders else NOBODY,
        to=parse_addresses(headers.get("to", "")),
        cc=parse_addresses(headers.get("cc", "")),
        reply_to=parse_addresses(headers.get("reply-to", "")),
        subject=header_line(decoded_words(headers.get("subject", ""))),
        time=_time(headers.get("date", "")),
        text=own,
        quoted="\n\n".join(filter(None, [quoted, visible(attached)[0][:longest]])),
        in_reply_to=next(iter(_ids(headers.get("in-reply-to", ""))), ""),
        references=tuple(_ids(headers.get("references", ""))),
        headers={name: header_line(decoded_words(headers[name])) for name in _KEPT_HEADERS if name in headers},
        attachments=names,
        folder=folder,
        problems=tuple(problems),
    )


def _headers(mime: Message) -> dict[str, str]:
    """Return the first header of each name, in small letters; bytes above ASCII are read as UTF-8."""
    found: dict[str, str] = {}
    for name, value in mime.raw_items():
        if name.lower() in _LABEL_HEADERS and "received" in found:
            continue
        found.setdefault(name.lower(), decoded(str(value).encode("utf-8", "surrogateescape"), None))
    return found


def _content(mime: Message, problems: list[str]) -> tuple[str, str, tuple[str, ...], int]:
    """Return the text, that of attached messages, the names of attached files, and how many characters were hidden."""
    texts: list[str] = []
    attached: list[str] = []
    names: list[str] = []
    hidden = 0
    for part, inside in _parts(mime, problems):
        kind, name = part.get_content_type(), part.get_filename()
        if kind not in ("text/plain", "text/html") or part.get_content_disposition() == "attachment":
            names.append(header_line(decoded_words(str(name)) if name else kind, 100))
            continue
        text = _text(part)
        if kind == "text/html":
            text, unseen = html_to_text(text)
            hidden += unseen
        (attached if inside else texts).append(text)
    return "\n\n".join(texts), "\n\n".join(attached), tuple(names), hidden


def _parts(mime: Message, problems: list[str]) -> Iterator[tuple[Message, bool]]:
    """Yield the parts that hold content, each with whether it belongs to an attached message."""
    waiting: list[tuple[Message, bool, int]] = [(mime, False, 0)]
    seen = 0
    while waiting:
        part, inside, depth = waiting.pop()
        seen += 1
        if seen > MOST_PARTS or depth > DEEPEST:
            problems.append(f"more than {MOST_PARTS} parts, or deeper than {DEEPEST}; the others were left out")
            return
        payload = part.get_payload()
        children = [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []
        if not children:
            yield part, inside
            continue
        if part.get_content_type() == "multipart/alternative":
            children = _best_alternative(children)
        within = inside or part.get_content_type() == "message/rfc822"
        waiting += [(child, within, depth + 1) for child in reversed(children)]


def _best_alternative(children: list[Message]) -> list[Message]:
    """Return the plain text if it says something, else the last text in another form; calendars are kept beside it."""
    plain = [one for one in children if one.get_content_type() == "text/plain" and _text(one).strip()]
    rich = [one for one in children if one.get_content_type() == "text/html" or one.is_multipart()]
    beside = [one for one in children if one.get_content_maintype() not in ("text", "multipart")]
    calendar = [one for one in children if one.get_content_type() == "text/calendar"]
    return [*(plain[:1] or rich[-1:]), *beside, *calendar] or children[-1:]


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    return decoded(data[:LONGEST_PART], part.get_content_charset())


def _ids(header: str) -> list[str]:
    return _ID.findall(header[:50_000])[:MOST_REFERENCES]


def _time(header: str) -> float | None:
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, OSError, ValueError):
        return None
