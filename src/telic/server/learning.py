"""What the dashboard shows of learning: an analysis of the latest conversations, the versions, the canary."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

from telic.errors import DataError, TelicError
from telic.feedback import Analysis, learn
from telic.promotion import GateResult, Version, VersionStatus
from telic.server.authentication import LOCAL_USER
from telic.server.promotion_watch import RefusedVersion
from telic.server.service import Service
from telic.server.stored_episodes import StoredEpisodes

__all__ = ["Learning", "LearningCache", "VersionRow"]

MAX_CONVERSATIONS = 1000
"""Latest conversations that are analysed."""
FRESH_SECONDS = 60.0
"""How long an analysis counts."""
RESAMPLES = 500


@dataclass(frozen=True)
class VersionRow:
    """A version in the list."""

    version: Version
    status: VersionStatus
    gate: GateResult | None


@dataclass(frozen=True)
class Learning:
    """What is known at a time. All quoted texts are data from users."""

    analysis: Analysis | None
    """None if there is nothing to analyse."""
    note: str
    """Why there is none, or how many conversations were analysed."""
    served: str
    versions: tuple[VersionRow, ...]
    canary: dict[str, Any] | None
    refused: RefusedVersion | None = None
    """The promoted version, if the server does not serve it."""


class LearningCache:
    """Reads what a service has learnt, at most once a minute for each holder of a key.

    Args:
        service: has the conversations and the versions.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: dict[str, tuple[float, Learning]] = {}
        self._lock = asyncio.Lock()

    async def read(self, holder: str) -> Learning:
        """Return what the conversations of a holder say, and the state of the versions.

        Raises:
            SQLAlchemyError: the store failed.
        """
        async with self._lock:  # one at a time: an analysis keeps a core busy
            when, found = self._known.get(holder, (float("-inf"), None))
            if found is None or time.monotonic() - when > FRESH_SECONDS:
                found = await asyncio.to_thread(self._analyse, holder)
                self._known[holder] = time.monotonic(), found
        canary = self._service.canary
        state = None if canary is None else canary.state()
        return replace(found, canary=state, served=self._service.version, refused=self._service.refused)

    def _analyse(self, holder: str) -> Learning:
        service = self._service
        store, learn_from = service.store.blocking, service.config.learn
        user = None if holder == LOCAL_USER else holder
        since = store.created_of_latest(MAX_CONVERSATIONS, user)
        source = StoredEpisodes(service.config.store, user, service.purpose.name, learn_from, since)
        analysis, note = None, ""
        try:
            analysis = learn(source, name=service.purpose.name, resamples=RESAMPLES).analysis
            note = f"The latest {MAX_CONVERSATIONS:,} conversations." if since is not None else "All conversations."
        except DataError as error:
            note = f"{str(error)[:1].upper()}{str(error)[1:]}."
        versions, problem = self._versions()
        return Learning(analysis, " ".join(filter(None, (note, problem))), service.version, versions, None)

    def _versions(self) -> tuple[tuple[VersionRow, ...], str]:
        versions = self._service.versions
        if versions is None:
            return (), ""
        try:
            promotion = versions.promotion
            rows = [
                VersionRow(one, versions.status(one, promotion), GateResult.read(versions, one.name))
                for one in reversed(versions.all())
            ]
        except TelicError as error:
            return (), str(error)
        return tuple(rows), ""
