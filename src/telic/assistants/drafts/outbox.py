"""The folder of drafts. What the user wrote in it is never overwritten, and no draft is made twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import formatdate
from pathlib import Path
from typing import Literal

from telic.assistants.drafts.recipients import Recipient
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.parse import parse_message
from telic.assistants.mail.threads import base_subject
from telic.assistants.mail.words import decoded, header_line
from telic.errors import DataError, RunError
from telic.files import write_atomically
from telic.run_lock import wait_for_lock

__all__ = ["DraftRecord", "Outbox", "Written", "draft_id", "draft_message"]

PATIENCE = 10.0
STATE = ".telic-drafts.json"
FOREIGN_ID = re.compile(r"[!-;=?-~]{1,250}")
"""A Message-ID that may be repeated in a header: no brackets, no space, ASCII only."""

Written = Literal["new", "updated", "unchanged", "edited", "discarded"]
"""`edited`: the user changed the file, so that it was left as it is. `discarded`: the user deleted it, so that it was
not made again."""


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
    """The edited text that was learnt from."""
    delivered: bool = False


@dataclass
class Outbox:
    """A folder with a file per draft, and its records."""

    folder: Path
    format: Literal["eml", "md"] = "eml"
    you: str = ""
    """Address of the author."""
    records: dict[str, DraftRecord] = field(default_factory=dict)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, and read its records.

        Raises:
            RunError: it cannot be written, or another process holds it.
            DataError: its records are damaged.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = wait_for_lock(self.folder / ".telic-drafts.lock", PATIENCE)
        except OSError as error:
            raise RunError(f"cannot use the folder of drafts {str(self.folder)!r}: {error.strerror or error}") from None
        try:
            self.records = self._read_records()
            yield
        finally:
            os.close(lock)

    def path(self, record: DraftRecord) -> Path:
        """Return the file of a draft."""
        return self.folder / record.file

    def text(self, record: DraftRecord) -> str | None:
        """Return what the file of a draft says now; None if it is gone."""
        return read_draft(self.path(record))

    def said(self, message: MailMessage) -> str:
        """Return what the user wanted to say to a message, as of an earlier run."""
        record = self.records.get(draft_id(message))
        return record.say if record is not None else ""

    def put(
        self, message: MailMessage, recipient: Recipient, draft: str, neutral: str, say: str = ""
    ) -> tuple[Written, DraftRecord]:
        """Write the draft that answers a message, unless the user edited or deleted an earlier one.

        Raises:
            RunError: the file cannot be written.
        """
        known = self.records.get(draft_id(message))
        if known is None:
            record = replace(_record(message, recipient, draft, neutral, self.format), say=say)
            self._write(record, message)
            return "new", record
        current = self.text(known)
        if current is None:
            return "discarded", known
        if _differs(current, known.draft):
            return "edited", known
        if not _differs(draft, known.draft) or known.delivered:
            return "unchanged", known
        record = replace(known, draft=draft, neutral=neutral, kind=recipient.kind, say=say)
        self._write(record, message)
        return "updated", record

    def replace_text(self, record: DraftRecord, text: str) -> None:
        """Write what the user made of a draft into its file.

        Raises:
            RunError: the file cannot be written.
        """
        path = self.path(record)
        head, blank, _ = path.read_bytes().partition(b"\n\n")
        _write(path, head + blank + text.encode())

    def edited(self, folder: Path | None = None) -> Iterator[tuple[DraftRecord, str]]:
        """Yield the drafts that the user changed and that nothing was learnt from yet, with their text now.

        Args:
            folder: where the edited files are, under their names; by default the folder of drafts.
        """
        for record in list(self.records.values()):
            text = read_draft((folder or self.folder) / record.file)
            if text is not None and text.strip() and _differs(text, record.draft) and _differs(text, record.learnt):
                yield record, text

    def update(self, record: DraftRecord) -> None:
        """Keep a record."""
        self.records[record.id] = record
        document = {"version": 1, "drafts": [asdict(one) for one in self.records.values()]}
        _write(self.folder / STATE, (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode())

    def _write(self, record: DraftRecord, message: MailMessage) -> None:
        mail = draft_message(record, message, self.you)
        if self.format == "eml":
            content = mail.as_bytes(policy=default.clone(cte_type="8bit", max_line_length=998, utf8=True))
        else:
            head = "\n".join(f"{name}: {mail[name]}" for name in ("To", "Subject", "In-Reply-To") if mail[name])
            content = f"{head}\n\n{record.draft}".encode()
        _write(self.path(record), content)
        self.update(record)

    def _read_records(self) -> dict[str, DraftRecord]:
        path = self.folder / STATE
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["drafts"]
            known = {one.name for one in fields(DraftRecord)}
            records = [DraftRecord(**{name: value for name, value in row.items() if name in known}) for row in rows]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{str(path)!r} is damaged ({error}); move it away to begin anew") from None
        return {one.id: one for one in records if one.file == Path(one.file).name}


def draft_id(message: MailMessage) -> str:
    """Return the id of the draft that answers a message."""
    return hashlib.sha256(message.id.encode("utf-8", "replace")).hexdigest()[:10]


def draft_message(record: DraftRecord, message: MailMessage, you: str) -> EmailMessage:
    """Make the mail of a draft. It goes to the sender of what it answers, whatever that message asks for.

    Nothing of the message gets into a header but its subject, on one line, its sender's address, and ids.
    """
    mail = EmailMessage(policy=SMTP.clone(utf8=True))
    if you:
        mail["From"] = you
    mail["To"] = message.reply_address.email
    mail["Subject"] = record.subject
    mail["Message-ID"] = f"<telic-draft-{record.id}@drafts.invalid>"
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
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read the draft {str(path)!r}: {error.strerror}") from None
    if path.suffix == ".eml":
        return parse_message(data).text
    return decoded(data, "utf-8").replace("\r\n", "\n").partition("\n\n")[2]


def _record(message: MailMessage, recipient: Recipient, draft: str, neutral: str, form: str) -> DraftRecord:
    identity = draft_id(message)
    subject = f"Re: {base_subject(message.subject)}" if message.subject else "Re: your message"
    slug = re.sub(r"[^a-z0-9]+", "-", base_subject(message.subject).lower()).strip("-")[:40].strip("-") or "mail"
    return DraftRecord(
        identity, message.id, header_line(subject), message.reply_address.email, recipient.kind,
        " ".join(recipient.words), recipient.title, draft, neutral, f"{slug}-{identity}.{form}",
    )  # fmt: skip


def _differs(one: str, other: str) -> bool:
    return one.split() != other.split()


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
