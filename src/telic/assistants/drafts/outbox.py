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
from pathlib import Path
from typing import Literal

from telic.assistants.drafts.draft_file import (
    DraftRecord,
    draft_body,
    draft_content,
    draft_mail,
    draft_message,
    read_draft,
    text_digest,
    texts_differ,
    with_body,
    write_draft,
)
from telic.assistants.drafts.recipients import Recipient
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.threads import base_subject
from telic.assistants.mail.words import header_line
from telic.errors import DataError, RunError
from telic.run_lock import HeldLockError, wait_for_lock

__all__ = ["Outbox", "Written", "draft_id"]

PATIENCE = 10.0
STATE = ".telic-drafts.json"

Written = Literal["new", "updated", "unchanged", "edited", "discarded"]
"""`edited`: the user changed the file, so that it was left as it is. `discarded`: the user deleted it, so that it was
not made again."""


@dataclass
class Outbox:
    """A folder with a file per draft, and its records."""

    folder: Path
    format: Literal["eml", "md"] = "eml"
    you: str = ""
    """Address of the author."""
    user: str = "me"
    """Whose memory learns from the drafts."""
    records: dict[str, DraftRecord] = field(default_factory=dict)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, and read its records.

        Raises:
            RunError: it cannot be written, another process holds it, or it has the drafts of another user.
            DataError: its records are damaged.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # drafts quote mail
            lock = wait_for_lock(self.folder / ".telic-drafts.lock", PATIENCE)
        except HeldLockError as error:
            raise RunError(f"{str(self.folder)!r} is in use by {error}; try again when it is done") from None
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
        """Return what the file of a draft says now, without quotations and signature; None if it is gone."""
        return read_draft(self.path(record))

    def body(self, record: DraftRecord) -> str:
        """Return the whole text of a draft's file.

        Raises:
            RunError: the file cannot be read.
        """
        return draft_body(self.path(record))

    def mail(self, record: DraftRecord, message: MailMessage) -> EmailMessage:
        """Return a draft as a mail: as its file is now, with what the user added, and with the draft's Message-ID.

        Raises:
            RunError: the file cannot be read.
        """
        return draft_mail(self.path(record), record, message, self.you)

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
            current = self.text(record)
            if current is not None and texts_differ(current, draft):  # its record was lost
                self.update(record)
                return "edited", record
            self._write(record, message)
            return "new", record
        current = self.text(known)
        if current is None:
            return "discarded", known
        if texts_differ(current, known.draft):
            return "edited", known
        if not texts_differ(draft, known.draft) or (known.delivered and say == known.say):
            return "unchanged", known
        # What was copied before has none of the new words, so that the draft is to be copied again.
        record = replace(known, draft=draft, neutral=neutral, kind=recipient.kind, say=say, delivered=False)
        self._write(record, message)
        return "updated", record

    def replace_text(self, record: DraftRecord, text: str) -> None:
        """Write what the user made of a draft into its file; the headers stay.

        Raises:
            RunError: the file cannot be read or written.
        """
        path = self.path(record)
        write_draft(path, with_body(path, text))

    def edited(self, folder: Path | None = None) -> Iterator[tuple[DraftRecord, str]]:
        """Yield the drafts that the user changed and that nothing was learnt from yet, with their text now.

        Args:
            folder: where the edited files are, under their names; by default the folder of drafts.
        """
        for record in list(self.records.values()):
            text = read_draft((folder or self.folder) / record.file)
            if text is None or not text.strip() or text_digest(text) == record.learnt:
                continue
            if texts_differ(text, record.draft):
                yield record, text

    def update(self, record: DraftRecord) -> None:
        """Keep a record."""
        self.records[record.id] = record
        document = {"version": 1, "user": self.user, "drafts": [asdict(one) for one in self.records.values()]}
        write_draft(self.folder / STATE, (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode())

    def _write(self, record: DraftRecord, message: MailMessage) -> None:
        path = self.path(record)
        write_draft(path, draft_content(path, draft_message(record, message, self.you)))
        self.update(record)

    def _read_records(self) -> dict[str, DraftRecord]:
        path = self.folder / STATE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            rows, user = document["drafts"], document.get("user", self.user)
            known = {one.name for one in fields(DraftRecord)}
            records = [DraftRecord(**{name: value for name, value in row.items() if name in known}) for row in rows]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{str(path)!r} is damaged ({error}); move it away to start over") from None
        if user != self.user:
            raise RunError(f"{str(self.folder)!r} has the drafts of user {user!r}; name another folder with --out")
        return {one.id: one for one in records if one.file == Path(one.file).name}


def draft_id(message: MailMessage) -> str:
    """Return the id of the draft that answers a message."""
    return hashlib.sha256(message.id.encode("utf-8", "replace")).hexdigest()[:10]


def _record(message: MailMessage, recipient: Recipient, draft: str, neutral: str, form: str) -> DraftRecord:
    identity = draft_id(message)
    subject = f"Re: {base_subject(message.subject)}" if message.subject else "Re: your message"
    slug = re.sub(r"[^a-z0-9]+", "-", base_subject(message.subject).lower()).strip("-")[:40].strip("-") or "mail"
    return DraftRecord(
        identity, message.id, header_line(subject), message.reply_address.email, recipient.kind,
        " ".join(recipient.words), recipient.title, draft, neutral, f"{slug}-{identity}.{form}",
    )  # fmt: skip
