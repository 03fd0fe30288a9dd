"""The morning digest: what is new in feeds, mail and notes, in the order of what its user cares about.

Sources are read, copies of one story grouped, and the stories ranked by evidence of the user's interests. What
strangers wrote is data throughout: it is made plain, it gives no orders, and no claim about the user is made of it.
"""

from __future__ import annotations

from telic.assistants.digest.config import DigestConfig
from telic.assistants.digest.desk import Desk
from telic.assistants.digest.digest import Digest, Entry, SourceFailure
from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.schedule import schedule_text
from telic.assistants.digest.sources.base import Source, SourceContext
from telic.assistants.digest.writing import digest_page, markdown_text, terminal_text

__all__ = [
    "Desk",
    "Digest",
    "DigestConfig",
    "DigestItem",
    "Entry",
    "Source",
    "SourceContext",
    "SourceFailure",
    "digest_page",
    "markdown_text",
    "schedule_text",
    "terminal_text",
]
