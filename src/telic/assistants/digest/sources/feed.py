"""Feeds: RSS and Atom, read with feedparser."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import feedparser

from telic.assistants.digest.fetching import Fetched
from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext, WebSource
from telic.assistants.digest.text import plain, readable_html
from telic.errors import DataError

__all__ = ["FeedSource", "parsed_entries"]

DATES = ("published_parsed", "updated_parsed", "created_parsed")


@dataclass(frozen=True)
class FeedSource(WebSource):
    """A feed at an address or in a file."""

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the entries."""
        fetched = context.fetcher.read(self.url)
        for entry in parsed_entries(fetched, self.url):
            yield item_of(entry, fetched.url)


def parsed_entries(fetched: Fetched, name: str) -> list[Any]:
    """Parse a feed. An entry before a mistake in the XML counts.

    Raises:
        DataError: it is no feed.
    """
    headers = {"content-type": fetched.content_type} if fetched.content_type else {}
    # Its own sanitiser would drop the styles that hide text, and so show the text; `readable_html` knows better.
    found = feedparser.parse(fetched.body, response_headers=headers, sanitize_html=False, resolve_relative_uris=False)
    entries = [entry for entry in found.entries if any(map(entry.get, ("title", "summary", "content", "link")))]
    if not entries and (found.get("bozo") or not found.get("version")):
        reason = found.get("bozo_exception") or "it is neither RSS nor Atom"
        raise DataError(f"{name!r} is not a feed: {plain(str(reason), 120)}")
    return entries


def item_of(entry: Any, base: str) -> DigestItem:
    """Make an item of an entry of feedparser."""
    title, title_warnings = readable_html(str(entry.get("title", "")))
    bodies = [str(one.get("value", "")) for one in entry.get("content", ())] or [str(entry.get("summary", ""))]
    text, warnings = readable_html("\n".join(bodies))
    parsed = next((entry[name] for name in DATES if entry.get(name)), None)
    return DigestItem(
        title=title.replace("\n", " "), text=text, link=_absolute(str(entry.get("link", "")), base),
        time=_seconds(parsed), author=str(entry.get("author", "")), key=str(entry.get("id", "")),
        warnings=tuple(dict.fromkeys([*title_warnings, *warnings])),
    )  # fmt: skip


def _absolute(link: str, base: str) -> str:
    try:
        return urljoin(base, link) if link else ""
    except ValueError:  # `http://[` is no address
        return link


def _seconds(parsed: Any) -> float | None:
    try:
        return None if parsed is None else float(calendar.timegm(parsed))
    except (ValueError, OverflowError, TypeError):
        return None
