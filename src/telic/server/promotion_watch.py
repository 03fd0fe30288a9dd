"""A running server follows promotions and rollbacks: it looks whether the files of the versions changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from telic.errors import TelicError
from telic.promotion import PromotedPurpose, Versions
from telic.purpose import Purpose
from telic.server.log import log_event
from telic.server.metrics import Metrics
from telic.server.served_version import ServedVersion

__all__ = ["PromotionWatch", "RefusedVersion", "ServesVersions"]

LOOK_SECONDS = 1.0
"""Time between two looks, which read no file unless it changed."""
UNKNOWN = "unknown"
"""What stands for the name of the promoted version where it cannot be read."""


class ServesVersions(Protocol):
    """A server that can be given another version."""

    @property
    def version(self) -> str:
        """Name of the version that new conversations get."""
        ...

    async def prepare(self, loaded: PromotedPurpose) -> ServedVersion:
        """Load a version beside those that are served; nobody gets it yet.

        Raises:
            TelicError: it cannot be served.
        """
        ...

    def serve(self, new: ServedVersion, promoted: Collection[str]) -> None:
        """Give a prepared version to all new conversations, at once."""
        ...

    async def close_unused(self) -> None:
        """Close the versions that no conversation has any more."""
        ...


@dataclass(frozen=True, slots=True)
class RefusedVersion:
    """A promoted version that this server does not serve, and why."""

    version: str
    cause: str


class PromotionWatch:
    """Looks again and again which version is promoted, and has it served.

    Whatever is wrong with a version, the one that is served goes on: it is replaced only by one that was loaded whole.
    A refused version is tried again when its record or the promotion changes.

    Args:
        release: what the server began with. The purpose file is not read again.
        server: serves versions.
        metrics: get what is served.
    """

    def __init__(self, release: PromotedPurpose, server: ServesVersions, metrics: Metrics) -> None:
        self._written, self._versions = release.written, release.versions
        self._server, self._metrics = server, metrics
        self._seen: object = None
        self._wanted = release.version
        self.refused: RefusedVersion | None = None
        """The promoted version, if it is not served."""

    async def watch(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self.check()
                await self._server.close_unused()
            except Exception as error:  # a model may raise anything when it is closed: the watch goes on
                log_event(logging.ERROR, "promotion_watch_failed", cause=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def check(self) -> None:
        """Have the promoted version served, if the files say another one than before."""
        files = await asyncio.to_thread(self._versions.fingerprint, self._wanted)
        if files == self._seen:
            return
        self._seen, wanted = files, UNKNOWN
        try:
            wanted = self._wanted = await asyncio.to_thread(_promoted, self._versions)
            if wanted != self._server.version:
                await self._change_to(wanted)
        except Exception as error:  # whatever a version's files hold, what is served goes on
            cause = str(error) if isinstance(error, (TelicError, OSError)) else f"{type(error).__name__}: {error}"
            self._refuse(wanted, cause)
        else:
            self.refused = None
            self._metrics.version_refused.set(0)

    async def _change_to(self, wanted: str) -> None:
        before = self._server.version
        loaded = await asyncio.to_thread(_load, self._written, self._versions, wanted)
        new = await self._server.prepare(loaded)
        promotion = await asyncio.to_thread(lambda: self._versions.promotion)
        if promotion.version != wanted:  # while it was loaded: the next look finds which one
            self._seen = None
            return
        self._server.serve(new, promotion.stack)
        self._metrics.version_served.labels(before).set(0)
        self._metrics.version_served.labels(wanted).set(1)
        self._metrics.version_changes.inc()
        change = promotion.log[-1].how if promotion.log else None
        log_event(logging.WARNING, "version_served", version=wanted, before=before, how=change)

    def _refuse(self, version: str, cause: str) -> None:
        refused = RefusedVersion(version, cause)
        if refused == self.refused:
            return
        self.refused = refused
        self._metrics.version_refused.set(1)
        log_event(logging.ERROR, "version_refused", version=version, served=self._server.version, cause=cause)


def _promoted(versions: Versions) -> str:
    return versions.promotion.version


def _load(written: Purpose, versions: Versions, name: str) -> PromotedPurpose:
    return PromotedPurpose(versions.apply(written, name), name, written, versions)
