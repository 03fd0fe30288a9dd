"""Who awaits an answer: the people who asked the user, and the people whom the user asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from telic.assistants.drafts.actions import ActionItem, action_items
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.nature import Judgement, nature_of
from telic.assistants.mail.threads import Thread, threads_of

__all__ = ["FollowUp", "OpenRequest", "follow_ups", "open_requests"]

DAY = 86400.0
_SETTLED = re.compile(
    r"\bno (?:reply|response|action)(?: is)? (?:needed|required|necessary)\b|\bno need to (?:reply|respond)\b|"
    r"\bfor (?:your )?visibility\b|\bjust (?:letting you know|wanted to (?:say|pass|share))\b|\bnothing (?:further )?needed\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A message to the user that nobody has answered yet, and what it asks for."""

    message: MailMessage
    items: tuple[ActionItem, ...]
    nature: Judgement
    thread: Thread


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A message of the user that still waits for an answer."""

    message: MailMessage
    item: ActionItem
    """What the user asked."""
    days: float
    """How long it waits."""
    automatic: bool = False
    """Whether only an automatic reply came back."""


def open_requests(messages: Iterable[MailMessage], you: Collection[str]) -> list[OpenRequest]:
    """Return the messages to the user that ask for something and have no answer of the user, the latest first.

    Newsletters, automatic replies and suspicious messages are never among them.

    Args:
        messages: what was received and what was sent.
        you: the user's own addresses.
    """
    found = []
    for thread in threads_of(messages):
        answered = max((one.time or 0.0 for one in thread.messages if one.sender.email in you), default=-1.0)
        waiting = [one for one in thread.messages if one.sender.email not in you and (one.time or 0.0) > answered]
        asked = [(one, nature, items) for one in waiting for nature, items in [_judged(one)] if items]
        # Only the latest question of a person is answered: a reminder replaces what it reminds of.
        latest = {one.sender.email: (one, nature, items) for one, nature, items in asked}
        found += [OpenRequest(one, items, nature, thread) for one, nature, items in reversed(latest.values())]
    return found


def follow_ups(messages: Iterable[MailMessage], you: Collection[str], now: float, days: float = 3.0) -> list[FollowUp]:
    """Return the messages in which the user asked somebody who has not answered, the longest wait first.

    An automatic reply is no answer. A message that says that it needs none, or that only closes a conversation, waits
    for nothing.

    Args:
        messages: what was received and what was sent.
        you: the user's own addresses.
        now: seconds since 1970.
        days: how long a message has to wait before it counts.
    """
    found = []
    for thread in threads_of(messages):
        people = [one for one in thread.messages if nature_of(one).nature != "automatic"]
        if not people or people[-1].sender.email not in you:
            continue
        last = people[-1]
        others = [one for one in last.recipients if one.email and one.email not in you]
        waited = (now - (last.time or now)) / DAY
        if not others or waited < days or _SETTLED.search(" ".join(last.text.split())):
            continue
        items = action_items(last.text, last.subject)
        if items:
            found.append(FollowUp(last, items[0], waited, automatic=people[-1] is not thread.messages[-1]))
    return sorted(found, key=lambda one: -one.days)


def _judged(message: MailMessage) -> tuple[Judgement, tuple[ActionItem, ...]]:
    nature = nature_of(message)
    return nature, tuple(action_items(message.text, message.subject)) if nature.nature in ("person", "machine") else ()
