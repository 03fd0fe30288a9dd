"""The conversations of a store as a source that can be read again, also by several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from telic.episodes import Episode
from telic.server.consents import Consents, LearnFrom
from telic.server.store import ConversationStore

__all__ = ["StoredEpisodes"]

PAGE = 400
"""Conversations that are read at once: a few megabytes, and few queries."""


@dataclass(frozen=True)
class StoredEpisodes:
    """The conversations of a store, oldest first. It opens the store each time that it is read.

    Raises:
        ConfigError: on iteration, if the store cannot be opened.
    """

    location: str
    """A file (SQLite), or an address such as `postgresql://user@host/name`."""
    user: str | None = None
    """Only this user; see `ConversationStore.episodes`."""
    purpose: str | None = None
    """Only conversations with a reply of the purpose of this name."""
    learn: LearnFrom = "all"
    """Only conversations of users that may be learnt from."""
    since: float | None = None
    """Only conversations that began at this time or later, in seconds since 1970."""

    def __iter__(self) -> Iterator[Episode]:
        """Yield all of them."""
        return self.part(0, 1)

    def part(self, number: int, of: int) -> Iterator[Episode]:
        """Yield those of a share of the users; see `telic.feedback.parallel.PartedSource`."""
        with closing(ConversationStore(self.location, create=False)) as store:
            users = Consents(store.engine).learnable(self.learn)
            for episode in store.episodes(self.user, (number, of), self.since, PAGE):
                if episode.metadata["user"] not in users:
                    continue
                setups = episode.metadata["setups"].values()
                if self.purpose is None or any(setup.get("purpose") == self.purpose for setup in setups):
                    yield episode
