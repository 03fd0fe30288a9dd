"""The desk: makes the digests of one user, and takes their reactions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from telic.assistants.digest.config import DigestConfig
from telic.assistants.digest.digest import Digest, Entry, SourceFailure
from telic.assistants.digest.evidence import (
    DAY,
    ShownItem,
    collect_evidence,
    new_digest_id,
    reaction_event,
    shown_event,
    shown_items,
)
from telic.assistants.digest.fetching import Fetcher
from telic.assistants.digest.items import DigestItem, SourceItems
from telic.assistants.digest.ranking import RankedStory, rank_stories
from telic.assistants.digest.reasons import reasons_for
from telic.assistants.digest.sources.base import SourceContext, build_source, read_sources
from telic.assistants.digest.stories import Fingerprint, StoryIndex, group_stories
from telic.assistants.digest.summaries import extract, write_summaries
from telic.errors import ConfigError, RunError
from telic.memory import Memory, MemoryConfig, MemoryFile
from telic.run_lock import HeldLockError, wait_for_lock

if TYPE_CHECKING:
    from telic.models import Model

__all__ = ["Desk"]

PATIENCE = 120.0
"""Seconds to wait for another digest of the same user that is being made."""


class Desk:
    """Makes digests of the sources of a purpose for one user.

    Args:
        config: what is read, and how much is shown.
        log: the memory of the user, where reactions and what was shown are kept.
        memory_config: how the memory is read.
        folder: what paths of sources are relative to.
        state: folder for the cache of pages and for the lock.

    Raises:
        ConfigError: a source is wrong.
    """

    def __init__(
        self,
        config: DigestConfig,
        log: MemoryFile,
        memory_config: MemoryConfig | None = None,
        *,
        folder: Path,
        state: Path,
    ) -> None:
        self.config, self._log, self._memory_config = config, log, memory_config
        self._folder, self._state = folder, state
        self._sources = [build_source(table) for table in config.sources]

    def read(self, now: float) -> list[SourceItems]:
        """Read all sources; one that fails says why."""
        config = self.config
        fetcher = Fetcher(
            self._state / "cache", self._folder, timeout=config.timeout, max_bytes=int(config.max_megabytes * 1e6)
        )
        return read_sources(self._sources, SourceContext(fetcher, now, now - config.max_age_days * DAY), config.timeout)

    def make(self, now: float, *, model: Model | None = None, items: int | None = None, record: bool = True) -> Digest:
        """Make a digest.

        Args:
            now: seconds since 1970.
            model: writes the summaries; None for sentences of the items.
            items: most items; by default those of the settings.
            record: whether to log what is shown, so that it is not shown again.

        Raises:
            DataError: the memory is damaged.
            RunError: the memory cannot be read or written, or another digest is being made.
        """
        config = self.config
        config = config if items is None else config.model_copy(update={"items": items})
        with self._locked():
            read = self.read(now)
            memory = self._memory()
            shown = shown_items(memory.events)
            fresh, repeated = _not_shown([item for one in read for item in one.items], shown)
            evidence = collect_evidence(memory, config, now)
            ranked, avoided = rank_stories(
                group_stories(fresh), evidence, _recent(shown, config, now), now=now, most=config.items,
                most_per_source=config.source_limit,
            )  # fmt: skip
            entries = _entries(ranked, now, learnt=bool(evidence))
            if model is not None:
                entries = _rewritten(model, entries)
            digest = Digest(
                new_digest_id(), now, tuple(entries),
                tuple(SourceFailure(one.source, one.error) for one in read if one.error is not None),
                repeated, avoided, sum(len(one.items) for one in read), len(read),
            )  # fmt: skip
            if record and entries:
                self._log.append(shown_event(one.story.item, digest.id, one.number, now) for one in entries)
        return digest

    def react(self, names: Sequence[str], reaction: str, now: float) -> list[str]:
        """Take a reaction to items that were shown; returns their titles.

        Args:
            names: numbers of items in the latest digest, or their ids.
            reaction: `opened`, `more`, `less` or `never`.
            now: seconds since 1970.

        Raises:
            ConfigError: there is no such item or reaction; none is taken.
            DataError: the memory is damaged.
            RunError: the memory cannot be read or written.
        """
        known = shown_items(self._memory().events)
        found = list(dict.fromkeys(_named(name, known) for name in names))
        self._log.append([reaction_event(one, reaction, now) for one in found])
        return [one.title for one in found]

    def _memory(self) -> Memory:
        return Memory(self._memory_config, self._log.read())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Make one digest of a user at a time, so that no item is shown in two."""
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            lock = wait_for_lock(self._state / f".{self._log.path.stem}.lock", PATIENCE)
        except HeldLockError as error:
            raise RunError(f"another digest is being made by {error}; try again when it is done") from None
        except OSError as error:
            raise RunError(f"cannot write in {str(self._state)!r}: {error.strerror or error}") from None
        try:
            yield
        finally:
            os.close(lock)


def _named(name: str, known: Sequence[ShownItem]) -> ShownItem:
    if not known:
        raise ConfigError("no digest was shown yet, so there is nothing to react to")
    latest = [one for one in known if one.digest == known[-1].digest]
    if name.isdecimal() and len(name) < 4:
        found = next((one for one in latest if one.number == int(name)), None)
        hint = f"the latest digest has {len(latest)} items"
    else:
        found = next((one for one in reversed(known) if one.id == name), None)
        hint = "expected the number of an item in the latest digest, or an id as --json shows it"
    if found is None or not found.title:
        raise ConfigError(f"there is no item {name!r}: {hint}")
    return found


def _not_shown(items: Sequence[DigestItem], shown: Sequence[ShownItem]) -> tuple[list[DigestItem], int]:
    """Return the items of which no digest has shown a copy, and the number of the others."""
    ids = {one.id for one in shown}
    index = StoryIndex()
    for one in shown:
        if one.title:
            index.add(Fingerprint.of(one.title, one.text, one.link))
    fresh = [
        item for item in items
        if item.id not in ids and index.find(Fingerprint.of(item.title, item.text, item.link)) is None
    ]  # fmt: skip
    return fresh, len(items) - len(fresh)


def _recent(shown: Sequence[ShownItem], config: DigestConfig, now: float) -> list[ShownItem]:
    return [one for one in shown if now - one.time <= config.max_age_days * DAY]


def _entries(ranked: Sequence[RankedStory], now: float, *, learnt: bool) -> list[Entry]:
    entries = []
    for number, one in enumerate(ranked, 1):
        wanted = [word for word, share in one.interest.words if share > 0]
        entries.append(
            Entry(number, one.story, extract(one.story.item, wanted), reasons_for(one, now, learnt=learnt), one.scores)
        )
    return entries


def _rewritten(model: Model, entries: Sequence[Entry]) -> list[Entry]:
    written = write_summaries(model, [one.story.item for one in entries])
    return [
        replace(one, summary=text, summary_by="model") if text else one
        for one, text in zip(entries, written, strict=True)
    ]
