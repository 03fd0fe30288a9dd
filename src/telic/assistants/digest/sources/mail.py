"""Mail: an mbox, a Maildir, a folder of .eml files, or a folder on an IMAP server. Nothing there is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext
from telic.assistants.drafts.awaiting import FollowUp, follow_ups
from telic.assistants.mail import MailLimits, MailMessage, read_mailbox, threads_of
from telic.assistants.mail.imap import ImapAddress
from telic.assistants.mail.nature import nature_of

__all__ = ["MailSource"]

MESSAGE_BYTES = 5_000_000
_BULK_HEADERS = ("list-id", "list-unsubscribe", "feedback-id")
_WRAPPED = re.compile(r"(?m)(^.{50,100}(?<=[^\s.!?:]))[ \t]*\n(?=[^\W\d_])")


@dataclass(frozen=True)
class MailSource:
    """The messages of others, each as one item; a thread is one story. With `sent`, also who owes an answer."""

    path: str
    """A path relative to the purpose file, or `imaps://ann@mail.example.org/INBOX` with the password in the
    environment variable TELIC_IMAP_PASSWORD."""
    sent: str = ""
    """The mailbox of what the user sent, in the same form. What they answered asks for nothing any more."""
    own_addresses: tuple[str, ...] = ()
    """The user's own addresses: what they wrote themselves is left out. With `sent`, its senders are among them."""
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            name = ImapAddress.parse(self.path).host if ImapAddress.matches(self.path) else Path(self.path).stem
            object.__setattr__(self, "label", name or self.path)

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the messages of others, and those of the user that nobody has answered."""
        received, sent = (self._messages(place, context) if place else () for place in (self.path, self.sent))
        own = {address.lower() for address in self.own_addresses} | {one.sender.email for one in sent}
        # A delivered mail that says it is from the user may be anybody's: it answers nothing and waits for nothing.
        received = tuple(one for one in received if not (one.was_delivered and one.sender.email in own))
        everything = list({one.id: one for one in (*received, *sent)}.values())
        answered: set[str] = set()
        for thread in threads_of(everything) if own else ():
            last = max((one.time or 0.0 for one in thread.messages if one.sender.email in own), default=-1.0)
            answered |= {one.id for one in thread.messages if (one.time or 0.0) <= last}
        for message in received:
            if message.sender.email not in own:
                yield _item(message, answered=message.id in answered)
        for waiting in follow_ups(everything, own, context.now) if own else ():
            yield _reminder(waiting, context.now)

    def _messages(self, place: str, context: SourceContext) -> tuple[MailMessage, ...]:
        found = place if ImapAddress.matches(place) else context.fetcher.path(place)
        return read_mailbox(found, MailLimits(context.most, MESSAGE_BYTES, 20_000)).messages


def _item(message: MailMessage, *, answered: bool) -> DigestItem:
    judged = nature_of(message)
    warnings = [problem for problem in message.problems if "hidden" in problem]
    if judged.nature == "suspicious":
        warnings.append(f"it may be a scam: {judged.reason}")
    if message.redirects_replies:
        warnings.append("replies would go to an address other than the sender's")
    bulk = judged.nature in ("automatic", "bulk", "suspicious") or any(map(message.headers.get, _BULK_HEADERS))
    return DigestItem(
        title=message.subject, text=_unwrapped(message.text), time=message.time, author=str(message.sender),
        kind="mail", bulk=bulk,
        asks=not answered and judged.nature != "suspicious", key=message.id, warnings=tuple(warnings),
    )  # fmt: skip


def _reminder(waiting: FollowUp, now: float) -> DigestItem:
    """Make the item that tells of a message of the user without an answer; it is shown once."""
    to = ", ".join(one.name or one.email for one in waiting.message.recipients[:3])
    return DigestItem(
        title=f"No answer for {waiting.days:.0f} days: {waiting.message.subject} (to {to})",
        text=f"You asked: {waiting.item.text}", time=now, author="you", kind="mail",
        key=f"waiting {waiting.message.id}",
    )  # fmt: skip


def _unwrapped(text: str) -> str:
    """Join the lines that the sender's program has wrapped."""
    return _WRAPPED.sub(r"\1 ", text)
