"""Pages: one HTML page, shown when its text changes. robots.txt is asked first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from telic.assistants.digest.fetching import Fetched
from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext, WebSource
from telic.assistants.digest.text import readable_html
from telic.assistants.mail.words import decoded

__all__ = ["PageSource"]

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MAIN = re.compile(r"<(main|article)\b.*</\1>", re.IGNORECASE | re.DOTALL)
_AROUND = re.compile(r"<(nav|footer|aside|header|form)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(rb"<meta[^>]{1,500}charset=[\"']?([\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class PageSource(WebSource):
    """A page at an address or in a file."""

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the page as one item."""
        fetched = context.fetcher.read(self.url, ask_robots=True)
        markup = decoded_page(fetched)
        title = _TITLE.search(markup)
        main = _MAIN.search(markup)
        text, warnings = readable_html(_AROUND.sub(" ", main[0] if main else markup))
        name = readable_html(f"<p>{title[1]}</p>")[0] if title else ""
        yield DigestItem(
            title=name or self.label, text=text, link=fetched.url or None, time=context.now, key=self.url,
            warnings=warnings,
        )  # fmt: skip


def decoded_page(fetched: Fetched) -> str:
    """Return a page as text: by its header, by what it says of itself, else as UTF-8. Wrong bytes become U+FFFD."""
    header = Message()
    header["content-type"] = fetched.content_type or "text/html"
    said = _CHARSET.search(fetched.body[:2048])
    return decoded(fetched.body, header.get_content_charset() or (said[1].decode("ascii") if said else "utf-8"))
