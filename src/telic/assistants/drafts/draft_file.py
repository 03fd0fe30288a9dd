"""The file of one draft: a mail that mail programs open as a draft, or Markdown below a few headers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import formatdate
from pathlib import Path

from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.parse import parse_message
from telic.assistants.mail.words import decoded, visible
from telic.errors import RunError
from telic.files import write_atomically

__all__ = [
    "DraftRecord",
    "draft_body",
    "draft_content",
    "draft_mail",
    "draft_message",
    "read_draft",
    "text_digest",
    "texts_differ",
    "with_body",
    "write_draft",
]

FILE_POLICY = default.clone(cte_type="8bit", max_line_length=998, utf8=True)
"""How the file of a draft is written: people read it."""
FOREIGN_ID = re.compile(r"[!-;=?-~]{1,250}")
"""A Message-ID that may be repeated in a header: no brackets, no space, ASCII only."""


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """What is known of a draft that was written."""

    id: str
    message: str
    """Message-ID of what it answers."""
    subject: str
    to: str
    kind: str
    name: str
    """The recipient's name: letters only."""
    title: str
    draft: str
    """The text as it was written."""
    neutral: str
    """The text as it would have been without preferences."""
    file: str
    say: str = ""
    """What the user wanted to say, so that a later run without it keeps the answer."""
    learnt: str = ""
    """Digest of the edited text that was learnt from; the text itself is in the memory, where it can be forgotten."""
    delivered: bool = False


def draft_message(record: DraftRecord, message: MailMessage, you: str) -> EmailMessage:
    """Make the mail of a draft. It goes to the sender of what it answers, whatever that message asks for.

    Nothing of the message gets into a header but its subject, on one line, its sender's address, and ids.
    """
    mail = EmailMessage(policy=SMTP.clone(utf8=True))
    if you:
        mail["From"] = you
    mail["To"] = message.reply_address.email
    mail["Subject"] = record.subject
    mail["Message-ID"] = _message_id(record)
    mail["Date"] = formatdate()
    if FOREIGN_ID.fullmatch(message.id):
        mail["In-Reply-To"] = f"<{message.id}>"
        ids = [one for one in message.thread_ids[-10:] if FOREIGN_ID.fullmatch(one)]
        mail["References"] = " ".join(f"<{one}>" for one in ids)
    mail["X-Unsent"] = "1"  # mail programs open such a file as a draft
    mail.set_content(record.draft, cte="8bit")
    return mail


def read_draft(path: Path) -> str | None:
    """Return the text of a draft's file; None if there is no such file.

    Raises:
        RunError: the file cannot be read.
    """
    if not path.exists():
        return None
    data = _read(path)
    return parse_message(data).text if path.suffix == ".eml" else _split_markdown(data)[1]


def text_digest(text: str) -> str:
    """Return a digest of the words of a text."""
    return hashlib.sha256(" ".join(_words(text)).encode("utf-8", "replace")).hexdigest()


def draft_content(path: Path, mail: EmailMessage) -> bytes:
    """Return what the file of a draft holds; its name says in which form."""
    if path.suffix == ".eml":
        return mail.as_bytes(policy=FILE_POLICY)
    head = "\n".join(f"{name}: {mail[name]}" for name in ("To", "Subject", "In-Reply-To") if mail[name])
    return f"{head}\n\n{_text_of(mail)}".encode()


def draft_body(path: Path) -> str:
    """Return the whole text of a draft's file.

    Raises:
        RunError: the file cannot be read.
    """
    data = _read(path)
    return _text_of(_parsed(data)) if path.suffix == ".eml" else _split_markdown(data)[1]


def with_body(path: Path, text: str) -> bytes:
    """Return what a draft's file holds, with another text.

    Raises:
        RunError: the file cannot be read.
    """
    data = _read(path)
    if path.suffix != ".eml":
        return f"{_split_markdown(data)[0]}\n\n{text}".encode()
    mail = _parsed(data)
    _text_part(mail).set_content(text, cte="8bit")
    return mail.as_bytes()


def draft_mail(path: Path, record: DraftRecord, message: MailMessage, you: str) -> EmailMessage:
    """Return a draft as a mail, as its file is now, with the draft's Message-ID.

    Raises:
        RunError: the file cannot be read.
    """
    if path.suffix != ".eml":
        return draft_message(replace(record, draft=draft_body(path).rstrip() + "\n"), message, you)
    mail = _parsed(_read(path))
    own = {"Subject": str(mail["Subject"] or ""), "Message-ID": _message_id(record)}
    for name, value in own.items():
        del mail[name]
        mail[name] = value
    return mail


def texts_differ(one: str, other: str) -> bool:
    """Return whether two texts have other words."""
    return _words(one) != _words(other)


def write_draft(path: Path, content: bytes) -> None:
    """Write a file as a whole.

    Raises:
        RunError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _message_id(record: DraftRecord) -> str:
    """Return the Message-ID of a draft; with other words of the user it is another draft."""
    said = f"-{text_digest(record.say)[:8]}" if record.say else ""
    return f"<telic-draft-{record.id}{said}@drafts.invalid>"


def _parsed(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=FILE_POLICY)


def _text_of(mail: EmailMessage) -> str:
    part = _text_part(mail)
    data = part.get_payload(decode=True)
    return decoded(data if isinstance(data, bytes) else b"", part.get_content_charset()).replace("\r\n", "\n")


def _text_part(mail: EmailMessage) -> EmailMessage:
    part = mail.get_body(("plain",))
    return part if isinstance(part, EmailMessage) else mail


def _split_markdown(data: bytes) -> tuple[str, str]:
    """Return the headers and the text of a draft in Markdown."""
    head, _, text = decoded(data, "utf-8").replace("\r\n", "\n").partition("\n\n")
    return head, text


def _words(text: str) -> list[str]:
    return visible(text)[0].split()  # invisible characters are not read back from a file


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read the draft {str(path)!r}: {error.strerror}") from None
