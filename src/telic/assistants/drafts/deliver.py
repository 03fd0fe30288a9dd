"""Copying drafts to where a mail program finds them: an mbox, or a folder on a server. Nothing is ever sent."""

from __future__ import annotations

import mailbox
import os
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from imap_tools import AND, MailMessageFlags
from imap_tools.query import H

from telic.assistants.mail.imap import ImapAddress, opened_folder
from telic.errors import RunError

__all__ = ["append_drafts"]


def append_drafts(target: str, drafts: Sequence[EmailMessage]) -> int:
    """Put drafts into a mailbox, each once: one whose Message-ID is there already is left out.

    Args:
        target: an mbox file, or the address of a folder on a server.
        drafts: the drafts.

    Returns:
        How many were added.

    Raises:
        ConfigError: the address or the password is missing.
        DataError: the server does not answer, or refuses.
        RunError: the file cannot be written, or is no mbox.
    """
    if not drafts:
        return 0
    if ImapAddress.matches(target):
        return _append_to_folder(ImapAddress.parse(target), drafts)
    return _append_to_mbox(Path(target), drafts)


def _append_to_folder(address: ImapAddress, drafts: Sequence[EmailMessage]) -> int:
    added = 0
    with opened_folder(address, readonly=False) as box:
        for draft in drafts:
            if box.uids(AND(header=H("Message-ID", str(draft["Message-ID"])))):
                continue
            content = draft.as_bytes(policy=SMTP)
            box.append(content, address.folder, dt=None, flag_set=[MailMessageFlags.DRAFT, MailMessageFlags.SEEN])
            added += 1
    return added


def _append_to_mbox(path: Path, drafts: Sequence[EmailMessage]) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        box = mailbox.mbox(path)
        box.lock()
        try:
            _prepare_mbox(path)
            known = {str(message["Message-ID"]) for message in box}
            new = [draft for draft in drafts if str(draft["Message-ID"]) not in known]
            for draft in new:
                box.add(mailbox.mboxMessage(draft.as_bytes(policy=SMTP.clone(linesep="\n"))))
            box.flush()
        finally:
            box.unlock()
            box.close()
    except (OSError, mailbox.Error) as error:
        raise RunError(f"cannot write the mailbox {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    return len(new)


def _prepare_mbox(path: Path) -> None:
    """End the last line of a file, so that what is appended is a message of its own.

    Raises:
        RunError: it is no mbox; it stays as it is.
    """
    with path.open("rb+") as file:
        start = file.read(5)
        if not start:
            return
        if start != b"From ":
            raise RunError(f"{str(path)!r} is not an mbox: it begins with {start!r}; name another file in `deliver`")
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n\n")
