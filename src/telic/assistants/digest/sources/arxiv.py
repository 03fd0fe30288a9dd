"""arXiv: new papers of categories or of a search, by its Atom API or its RSS listing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext
from telic.assistants.digest.sources.feed import item_of, parsed_entries
from telic.errors import ConfigError

__all__ = ["ArxivSource"]

API = "https://export.arxiv.org/api/query"
_ABSTRACT = re.compile(r"^arXiv:\S+\s+Announce Type:\s*\S+\s*(?:Abstract:\s*)?", re.IGNORECASE)
_CATEGORY = re.compile(r"[\w-]+(?:\.[\w*-]+)?")


@dataclass(frozen=True)
class ArxivSource:
    """Papers, the newest first. A new version of a known paper is the same paper."""

    categories: list[str] = field(default_factory=list)
    """Such as `["cs.CL", "stat.ML"]`."""
    query: str = ""
    """A search in arXiv's own language, such as `all:"dialogue policy"`. With categories, both must hold."""
    most: int = 100
    """Papers that are asked for."""
    url: str = ""
    """Another address or a file, such as `https://rss.arxiv.org/rss/cs.CL`, instead of the API."""
    label: str = "arXiv"

    def __post_init__(self) -> None:
        if isinstance(self.categories, str) or not all(
            isinstance(one, str) and _CATEGORY.fullmatch(one) for one in self.categories
        ):
            raise ConfigError(f"digest source 'arxiv': categories is {self.categories!r}; expected a list: ['cs.CL']")
        if not (self.categories or self.query or self.url):
            raise ConfigError("digest source 'arxiv' needs categories, a query or a url")
        if not 1 <= self.most <= 1000:
            raise ConfigError(f"digest source 'arxiv': most is {self.most!r}; expected a number from 1 to 1000")

    @property
    def address(self) -> str:
        """What is asked."""
        if self.url:
            return self.url
        kinds = " OR ".join(f"cat:{one}" for one in self.categories)
        both = [f"({part})" for part in (kinds, self.query) if part]
        return f"{API}?" + urlencode(
            {
                "search_query": " AND ".join(both), "sortBy": "submittedDate", "sortOrder": "descending",
                "max_results": self.most,
            }
        )  # fmt: skip

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the papers; a listing's replacements of old papers are left out."""
        fetched = context.fetcher.read(self.address)
        for entry in parsed_entries(fetched, self.address):
            if str(entry.get("arxiv_announce_type", "")).startswith("replace"):
                continue
            item = item_of(entry, fetched.url)
            authors = [str(one.get("name", "")) for one in entry.get("authors", ())]
            names = ", ".join(authors[:3]) + (" and others" if len(authors) > 3 else "")
            yield replace(item, text=_ABSTRACT.sub("", item.text), author=names or item.author)
