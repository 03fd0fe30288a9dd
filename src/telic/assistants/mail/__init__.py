"""E-mail: mailboxes of any kind, read without changing them, as messages in plain text.

Mail is untrusted: a broken or hostile message never stops the reading, and nothing in it becomes markup or an order.
"""

from __future__ import annotations

from telic.assistants.mail.addresses import Address
from telic.assistants.mail.mailbox import Mailbox, MailLimits, read_mailbox
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.parse import parse_message
from telic.assistants.mail.threads import Thread, threads_of

__all__ = [
    "Address",
    "MailLimits",
    "MailMessage",
    "Mailbox",
    "Thread",
    "parse_message",
    "read_mailbox",
    "threads_of",
]
