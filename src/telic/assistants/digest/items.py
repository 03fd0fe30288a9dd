"""Items: what a source has, as plain text; and what each source gave."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from telic.assistants.digest.links import canonical_link, link_warnings, safe_link
from telic.assistants.digest.text import plain
from telic.memory.words import content_stems

__all__ = ["DigestItem", "ItemKind", "SourceItems", "sanitised"]

ItemKind = Literal["article", "mail", "chat", "note"]
LONGEST_TITLE = 200
LONGEST_TEXT = 20_000
"""Characters of an item that are read."""
LONGEST_SCORED = 4_000
"""Characters of an item that count for what it is about."""


@dataclass(frozen=True)
class DigestItem:
    """Something to read: an article, a mail, a thread of a chat, or a note."""

    title: str
    text: str = ""
    """Plain text, a paragraph a line."""
    link: str | None = None
    """Where to read it; None if it is not on the web."""
    time: float | None = None
    """When it was published, in seconds since 1970."""
    author: str = ""
    kind: ItemKind = "article"
    bulk: bool = False
    """A mail that a machine sent, or that went to many, such as a newsletter."""
    asks: bool = True
    """Whether it may ask for its user: a mail that was answered, or may be an attempt to cheat, does not."""
    source: str = ""
    """The source's name; set by whoever reads the source."""
    key: str = ""
    """What identifies it where it has no link, such as the id of a message."""
    warnings: tuple[str, ...] = field(default=())
    """What a user should know: `hidden text was left out`."""

    @cached_property
    def id(self) -> str:
        """The same for every copy of the item: ten hexadecimal digits of a hash."""
        named = canonical_link(self.link) if self.link else f"{self.source}\0{self.key or self.title + self.text}"
        return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:10]

    @cached_property
    def stems(self) -> list[str]:
        """The stems of its content words; those of the title count twice."""
        return content_stems(f"{self.title}\n{self.title}\n{self.text[:LONGEST_SCORED]}")


@dataclass(frozen=True, slots=True)
class SourceItems:
    """What reading one source gave."""

    source: str
    items: tuple[DigestItem, ...] = ()
    error: str | None = None
    """Why it could not be read."""


def sanitised(item: DigestItem, source: str, now: float) -> DigestItem | None:
    """Return an item as the digest uses it, whatever its source let through; None if there is nothing to read.

    Args:
        item: as the source made it.
        source: the source's name.
        now: a later time becomes this one, so that a date in the future gains nothing.
    """
    title = plain(item.title, LONGEST_TITLE)
    text = "\n".join(filter(None, map(plain, item.text[:LONGEST_TEXT].split("\n"))))
    link = safe_link(item.link) if item.link else None
    time = item.time if item.time is not None and math.isfinite(item.time) and item.time > 0 else None
    if not title:
        title = plain(text, 80)
    if not title:
        return None
    warned = link_warnings(item.link) if item.link else []
    if item.link and link is None:
        warned.append("its link does not lead to the web and was left out")
    return replace(
        item, title=title, text=text, link=link, time=None if time is None else min(time, now),
        author=plain(item.author, 100), source=plain(source, 60), key=item.key[:500],
        warnings=tuple(dict.fromkeys([*item.warnings, *warned])),
    )  # fmt: skip
