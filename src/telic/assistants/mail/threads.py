"""Threads: messages that answer each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from telic.assistants.mail.message import MailMessage

__all__ = ["Thread", "base_subject", "threads_of"]

DAY = 86400.0
SAME_SUBJECT_DAYS = 30
"""Days within which an answer without references joins the messages of its subject."""
_PREFIX = re.compile(r"\s*(?:re|aw|sv|fwd?|wg|tr|rv|antw)(?:\[\d+\])?\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages that answer each other, oldest first."""

    messages: tuple[MailMessage, ...]

    @property
    def latest(self) -> MailMessage:
        """The last message."""
        return self.messages[-1]

    @property
    def subject(self) -> str:
        """The subject, without `Re:`."""
        return base_subject(self.messages[0].subject)


def base_subject(subject: str) -> str:
    """Return a subject without `Re:`, `Fwd:` and their like."""
    while (match := _PREFIX.match(subject)) and match.end():
        subject = subject[match.end() :]
    return subject.strip()


def threads_of(messages: Iterable[MailMessage]) -> list[Thread]:
    """Group messages by whom they answer: by their references, or else by subject and people.

    A message without references joins others of its subject only if it is an answer (`Re: ...`) between the same people
    within 30 days: two monthly reports are not one thread, and a stranger cannot join by guessing a subject.

    Returns:
        The threads, the one with the latest message first.
    """
    ordered = sorted(messages, key=lambda message: message.time or 0.0)
    root: dict[str, str] = {}

    def find(key: str) -> str:
        while root.setdefault(key, key) != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for message in ordered:
        first, *others = message.thread_ids
        for other in others:
            root[find(other)] = find(first)
    by_subject: dict[str, list[MailMessage]] = {}
    for message in ordered:
        subject = base_subject(message.subject).casefold()
        if (
            subject
            and subject != message.subject.strip().casefold()
            and not (message.references or message.in_reply_to)
        ):
            for earlier in reversed(by_subject.get(subject, [])):
                if _between_the_same(message, earlier):
                    root[find(message.id)] = find(earlier.id)
                    break
        by_subject.setdefault(subject, []).append(message)
    groups: dict[str, list[MailMessage]] = {}
    for message in ordered:
        groups.setdefault(find(message.id), []).append(message)
    threads = [Thread(tuple(group)) for group in groups.values()]
    return sorted(threads, key=lambda thread: thread.latest.time or 0.0, reverse=True)


def _between_the_same(message: MailMessage, earlier: MailMessage) -> bool:
    people = {address.email for address in earlier.recipients} | {earlier.sender.email}
    near = abs((message.time or 0.0) - (earlier.time or 0.0)) <= SAME_SUBJECT_DAYS * DAY
    return near and message.sender.email in people and any(one.email in people for one in message.recipients)
