"""Reading a mailbox: an mbox, a Maildir, a folder of .eml files, one .eml file, or a folder on an IMAP server."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telic.assistants.mail.imap import ImapAddress, fetch_messages
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.parse import parse_message
from telic.errors import DataError

__all__ = ["MailLimits", "Mailbox", "read_mailbox"]

_ENVELOPE = re.compile(rb"From .*\b\d\d:\d\d")
"""The line before each message of an mbox. A line of a text may begin with "From ", but has no time of day."""
_HEADER_LINE = re.compile(rb"(?:From |[A-Za-z][A-Za-z0-9-]*:)")


@dataclass(frozen=True, slots=True)
class MailLimits:
    """How much is read."""

    messages: int = 5000
    """The latest messages of a mailbox."""
    message_bytes: int = 20_000_000
    """Longest message; a longer one is cut."""
    text: int = 100_000
    """Characters of text that are kept of a message."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The messages of a mailbox, oldest first, and what was left out."""

    name: str
    messages: tuple[MailMessage, ...]
    left_out: int = 0
    """Older messages beyond the limit."""
    duplicates: int = 0
    """Messages that are in it twice."""


def read_mailbox(source: str | Path, limits: MailLimits = MailLimits()) -> Mailbox:
    """Read a mailbox. Nothing in it is changed, not even which messages were read.

    Args:
        source: a file (mbox or .eml), a folder (Maildir, or .eml files in it), or the address of a folder on an IMAP
            server: `imaps://ann@mail.example.org/INBOX`. Its password is in the environment variable
            TELIC_IMAP_PASSWORD.
        limits: how much is read.

    Raises:
        DataError: there is no such mailbox, it cannot be read, or it is something else.
    """
    name = str(source)
    if ImapAddress.matches(name):
        address = ImapAddress.parse(name)
        data, left_out = fetch_messages(address, limits.messages, limits.message_bytes)
        return _mailbox(str(address), data, left_out, limits)
    path = Path(name)
    try:
        data = list(_files(path, limits.message_bytes) if path.is_dir() else _pieces(path, limits.message_bytes))
    except FileNotFoundError:
        raise DataError(
            f"mailbox {name!r} does not exist; name an mbox file, a Maildir, or imaps://USER@HOST"
        ) from None
    except (OSError, mailbox.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"cannot read the mailbox {name!r}: {reason or error}") from None
    return _mailbox(name, data, 0, limits)


def _mailbox(name: str, data: list[bytes], left_out: int, limits: MailLimits) -> Mailbox:
    found: dict[str, MailMessage] = {}
    for one in data:
        message = parse_message(one, folder=name, longest=limits.text)
        found.setdefault(message.id, message)
    ordered = sorted(found.values(), key=lambda message: message.time or 0.0)
    beyond = max(0, len(ordered) - limits.messages)
    return Mailbox(name, tuple(ordered[beyond:]), left_out + beyond, len(data) - len(found))


def _files(folder: Path, most: int) -> Iterator[bytes]:
    """Yield the messages of a Maildir or of a folder of .eml files."""
    if (folder / "cur").is_dir() or (folder / "new").is_dir():
        box = mailbox.Maildir(folder, create=False)
        for key in box.iterkeys():
            with box.get_file(key) as file:
                yield file.read(most)
        return
    files = sorted(folder.glob("*.eml"))
    if not files and any(folder.iterdir()):
        raise DataError(f"{str(folder)!r} is not a mailbox: it has neither `cur` and `new` (Maildir) nor .eml files")
    for path in files:
        with path.open("rb") as stream:
            yield stream.read(most)


def _pieces(path: Path, most: int) -> Iterator[bytes]:
    """Yield the messages of a file: of an mbox, or the only one of an .eml file."""
    with path.open("rb") as stream:
        start = stream.read(200).lstrip(b"\xef\xbb\xbf\r\n")
    if not start:
        return
    if not start.startswith(b"From "):
        if path.suffix.lower() != ".eml" and not _HEADER_LINE.match(start):
            raise DataError(
                f"{str(path)!r} is not a mailbox: it begins with {start[:30]!r}; expected an mbox: 'From ...'"
            )
        with path.open("rb") as stream:
            yield stream.read(most)
        return
    box = mailbox.mbox(path, create=False)
    try:
        piece = b""
        for key in box.iterkeys():
            with box.get_file(key, from_=True) as file:
                data = file.read(most)
            if _ENVELOPE.match(data.split(b"\n", 1)[0]):
                if piece:
                    yield _without_envelope(piece)
                piece = data
            else:  # a line of the text that begins with "From "
                piece = (piece + b"\n" + data)[:most]
        if piece:
            yield _without_envelope(piece)
    finally:
        box.close()


def _without_envelope(piece: bytes) -> bytes:
    """Return a message of an mbox without the line before it and without the marks of lines that begin with "From "."""
    return re.sub(rb"(?m)^>(>*From )", rb"\1", piece.split(b"\n", 1)[-1])
