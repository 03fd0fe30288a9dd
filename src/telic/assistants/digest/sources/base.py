"""The interface of sources, and reading them so that one that fails shows and the others still count."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from telic.assistants.digest.fetching import Fetcher
from telic.assistants.digest.items import DigestItem, SourceItems, sanitised
from telic.assistants.digest.links import host_of
from telic.assistants.digest.text import plain
from telic.errors import ConfigError, TelicError
from telic.registry import Registry, suggest

__all__ = ["Source", "SourceContext", "WebSource", "build_source", "read_sources", "registry"]

MOST_ITEMS = 500
"""Items of one source that are looked at, the newest first."""
GRACE = 5.0
"""Seconds that a source may take beyond its own time-out."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source gets to read with."""

    fetcher: Fetcher
    now: float
    """Seconds since 1970."""
    since: float
    """What is older is not wanted."""
    most: int = MOST_ITEMS
    """Items that are looked at, the newest first."""


@runtime_checkable
class Source(Protocol):
    """Reads items from one place. It changes nothing there."""

    @property
    def label(self) -> str:
        """What the digest calls it."""
        ...

    def read(self, context: SourceContext) -> Iterable[DigestItem]:
        """Return the items; they need not be clean.

        Raises:
            DataError: it cannot be read.
        """
        ...


@dataclass(frozen=True)
class WebSource:
    """The settings of a source at an address or in a file; the label is the host by default."""

    url: str
    """http(s), or a path relative to the purpose file."""
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", host_of(self.url) or self.url)


registry: Registry[Callable[..., Source]] = Registry("digest source")
"""Factories of sources by kind. A plug-in adds one with the entry point `digest source:NAME`."""
registry.declare(
    feed="telic.assistants.digest.sources.feed:FeedSource",
    arxiv="telic.assistants.digest.sources.arxiv:ArxivSource",
    page="telic.assistants.digest.sources.page:PageSource",
    markdown="telic.assistants.digest.sources.markdown:MarkdownSource",
    mail="telic.assistants.digest.sources.mail:MailSource",
    slack="telic.assistants.digest.sources.slack:SlackSource",
)


def build_source(table: Mapping[str, Any]) -> Source:
    """Make a source of a table of the purpose file.

    Raises:
        ConfigError: the table names no known kind, or has a wrong setting.
    """
    settings = dict(table)
    kind, name = settings.pop("kind", None), settings.pop("name", None)
    if not isinstance(kind, str):
        raise ConfigError(f"a source needs a kind{suggest('', registry.names())}")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise ConfigError(f"name is {name!r}; expected a text")
    if "label" in settings:
        raise ConfigError("unknown setting 'label'; did you mean 'name'?")
    for key in ("url", "path"):
        if key in settings and not (isinstance(settings[key], str) and settings[key].strip()):
            raise ConfigError(f"{key} is {settings[key]!r}; expected a text")
    for key in ("sent", "query"):
        if not isinstance(settings.get(key, ""), str):
            raise ConfigError(f"{key} is {settings[key]!r}; expected a text")
    for key in ("own_addresses", "channels"):
        found = settings.get(key, [])
        if not (isinstance(found, (list, tuple)) and all(isinstance(one, str) for one in found)):
            raise ConfigError(f"{key} is {found!r}; expected a list of texts")
    source: Source = registry.make({"name": kind, **settings, **({"label": name} if name else {})})
    return source


def read_sources(sources: Sequence[Source], context: SourceContext, timeout: float) -> list[SourceItems]:
    """Read all sources at once.

    Args:
        sources: what to read.
        context: what they read with.
        timeout: seconds after which a source counts as failed; its thread is left to itself.

    Returns:
        What each source gave, in their order: its clean items, or why it could not be read.
    """
    done: queue.SimpleQueue[tuple[int, SourceItems]] = queue.SimpleQueue()

    def work(number: int) -> None:
        done.put((number, _read(sources[number], context)))

    for number in range(len(sources)):
        threading.Thread(target=work, args=(number,), daemon=True, name=f"digest-source-{number}").start()
    found: dict[int, SourceItems] = {}
    end = time.monotonic() + timeout + GRACE
    while len(found) < len(sources):
        try:
            number, read = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[number] = read
    late = f"it was not read within {timeout:g} seconds"
    return [
        found.get(number) or SourceItems(plain(source.label, 60), error=late) for number, source in enumerate(sources)
    ]


def _read(source: Source, context: SourceContext) -> SourceItems:
    label = plain(source.label, 60)
    try:
        clean = [sanitised(item, label, context.now) for item in source.read(context)]
    except TelicError as error:
        return SourceItems(label, error=plain(str(error), 300))
    except Exception as error:  # of a plug-in, or of a parser that meets a hostile file, it may be any
        return SourceItems(label, error=plain(f"{type(error).__name__}: {error}", 300))
    kept = [item for item in clean if item is not None and (item.time is None or item.time >= context.since)]
    newest = sorted(kept, key=lambda item: -(item.time or context.now))[: context.most]
    return SourceItems(label, tuple(newest))
