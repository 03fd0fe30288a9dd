"""Mail: an mbox, a Maildir, a folder of .eml files, or a folder on an IMAP server. Nothing there is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext
from telic.assistants.mail import MailLimits, MailMessage, read_mailbox
from telic.assistants.mail.imap import ImapAddress

__all__ = ["MailSource"]

MESSAGE_BYTES = 5_000_000
_BULK_HEADERS = ("list-id", "list-unsubscribe", "feedback-id")
_WRAPPED = re.compile(r"(?m)(^.{50,100}(?<=[^\s.!?:]))[ \t]*\n(?=[^\W\d_])")
_BULK = frozenset({"bulk", "list", "junk"})


@dataclass(frozen=True)
class MailSource:
    """The messages of a mailbox, each as one item; a thread is one story."""

    path: str
    """A path relative to the purpose file, or `imaps://ann@mail.example.org/INBOX` with the password in the
    environment variable TELIC_IMAP_PASSWORD."""
    own_addresses: tuple[str, ...] = ()
    """The user's own addresses: what they wrote themselves is left out."""
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            name = ImapAddress.parse(self.path).host if ImapAddress.matches(self.path) else Path(self.path).stem
            object.__setattr__(self, "label", name or self.path)

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the messages of others."""
        place = self.path if ImapAddress.matches(self.path) else context.fetcher.path(self.path)
        own = {address.lower() for address in self.own_addresses}
        for message in read_mailbox(place, MailLimits(context.most, MESSAGE_BYTES, 20_000)).messages:
            if message.sender.email not in own:
                yield _item(message)


def _item(message: MailMessage) -> DigestItem:
    warnings = [problem for problem in message.problems if "hidden" in problem]
    if message.sender.is_spoofed:
        warnings.append("its sender's name pretends to be another address")
    if message.redirects_replies:
        warnings.append("replies would go to another address than the sender's")
    bulk = any(message.headers.get(name) for name in _BULK_HEADERS)
    bulk = bulk or message.headers.get("precedence", "").lower() in _BULK
    bulk = bulk or message.headers.get("auto-submitted", "no").lower() not in ("", "no")
    return DigestItem(
        title=message.subject, text=_unwrapped(message.text), time=message.time, author=str(message.sender),
        kind="mail", bulk=bulk, key=message.id, warnings=tuple(warnings),
    )  # fmt: skip


def _unwrapped(text: str) -> str:
    """Join the lines that the sender's program has wrapped."""
    return _WRAPPED.sub(r"\1 ", text)
