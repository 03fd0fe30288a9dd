"""The canary of a server: who gets the candidate, what is known of it, and the rollback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from telic.errors import TelicError
from telic.judges import Judge
from telic.promotion import PromotedPurpose, Versions
from telic.promotion.canary import Canary, CanaryComparison, compare_arms
from telic.promotion.gate_results import newest_passed
from telic.server.async_store import AsyncConversationStore, cause_of
from telic.server.canary_observations import CanaryObservations
from telic.server.config import ServeConfig
from telic.server.log import log_event
from telic.server.metrics import Metrics
from telic.server.served_version import ServedVersion

__all__ = ["ServedCanary", "choose_candidate"]

CHECK_SECONDS = 60.0
"""Time between two looks at the conversations, at most."""


def choose_candidate(release: PromotedPurpose, config: ServeConfig) -> PromotedPurpose | None:
    """Return the purpose with the changes of the canary's candidate; None if there is no canary.

    Raises:
        ConfigError: there is no such version, or it does not fit the purpose.
    """
    if not config.canary:
        return None
    versions, written = release.versions, release.written
    if config.canary_version is not None:
        version = versions.get(config.canary_version)
    else:
        newest = newest_passed(versions, written)
        if newest is None:
            log_event(logging.WARNING, "no_canary", cause="no candidate has passed its gate")
            return None
        version = newest
    if version.name == release.version:
        return None
    return PromotedPurpose(versions.apply(written, version.name), version.name, written, versions)


class ServedCanary:
    """Gives a candidate to a share of the users, and takes it back when they are significantly less satisfied.

    Args:
        candidate: replies to those users.
        release: what all other users get.
        config: share, margins, level.
        store: has the conversations.
        metrics: get what is known of the candidate.
        limits: judges of limits that ask no model.

    Raises:
        DataError: the record of the last canary is damaged.
        RunError: the record cannot be written.
    """

    def __init__(
        self,
        candidate: ServedVersion,
        release: PromotedPurpose,
        config: ServeConfig,
        store: AsyncConversationStore,
        metrics: Metrics,
        limits: Sequence[Judge] = (),
    ) -> None:
        self.candidate, self._config, self._store, self._metrics = candidate, config, store, metrics
        self._versions: Versions = release.versions
        self.canary = Canary.start(
            self._versions.folder, release.purpose.name, candidate.version, release.version, config.canary
        )
        engine = store.blocking.engine
        self._observations = CanaryObservations(engine, self.canary, config.learn, tuple(limits))
        self.comparison: CanaryComparison = compare_arms([])
        self._observed = -1
        """Observations behind the comparison."""
        self._show()

    def has_candidate(self, user: str) -> bool:
        """Return whether a user gets the candidate."""
        if self.canary.status == "promoted":
            return True
        return self.canary.gives_candidate and self.canary.arm_of(user) == self.candidate.version

    @property
    def serves_candidate(self) -> bool:
        """Whether some users get the candidate."""
        return self.canary.gives_candidate or self.canary.status == "promoted"

    def follow(self, served: ServedVersion) -> None:
        """Take note that another version is served: the comparison was with the one before it.

        Raises:
            RunError: the record cannot be written; for this server it counts all the same.
        """
        if not self.serves_candidate:
            return
        reason = f"{served.version} was promoted or rolled back to"
        if served is not self.candidate:
            self.canary = self.canary.with_status("ended", reason)
        elif self.canary.status != "promoted":
            self.canary = self.canary.with_status("promoted", reason)
        self._show()
        self.canary.write(self._versions.folder)

    def state(self) -> dict[str, Any]:
        """Return what is known, as JSON types. No user is named."""
        canary = self.canary.model_dump(mode="json", exclude={"salt"})
        return {**canary, "comparison": self.comparison.model_dump(mode="json")}

    async def watch(self) -> None:
        """Look at the conversations again and again, until it is cancelled."""
        idle = 60 * self._config.canary_idle_minutes
        while True:
            try:
                await self.check()
            except SQLAlchemyError as error:
                log_event(logging.ERROR, "canary_failed", cause=cause_of(error))
            except TelicError as error:
                log_event(logging.ERROR, "canary_failed", cause=str(error))
            await asyncio.sleep(min(CHECK_SECONDS, idle / 2))

    async def check(self) -> None:
        """Observe the conversations that have ended, and act on what they say.

        Raises:
            TelicError: the versions cannot be changed.
            SQLAlchemyError: the store failed.
        """
        idle = 60 * self._config.canary_idle_minutes
        await asyncio.to_thread(self._look, idle)
        self._show()
        if self.canary.status == "running" and self.comparison.verdict != "undecided":
            await asyncio.to_thread(self._decide)
            self._show()

    def _look(self, idle_seconds: float) -> None:
        if self.canary.gives_candidate:
            while self._observations.observe(idle_seconds):
                pass
        observations = self._observations.read()
        if len(observations) == self._observed:
            return
        config = self._config
        self.comparison = compare_arms(
            observations, margin=config.canary_margin, no_worse=config.canary_no_worse, alpha=config.canary_alpha
        )
        self._observed = len(observations)

    def _decide(self) -> None:
        found, name = self.comparison, self.candidate.version
        reason = f"the canary found that it is {found.verdict}: {found}"
        if found.verdict == "worse":
            self.canary = self.canary.with_status("rolled back", reason)  # first of all, users get the other version
            self.canary.write(self._versions.folder)
            self._versions.reject(name, reason)
        elif self._config.canary_promote:
            current = self._versions.promotion.version
            if current == self.canary.served:
                self._versions.promote(name, reason=reason)
                self.canary = self.canary.with_status("promoted", reason)
            elif current == name:
                self.canary = self.canary.with_status("promoted", reason)
            else:  # somebody has promoted or rolled back meanwhile
                self.canary = self.canary.with_status("ended", f"{reason}; but {current} is promoted now")
            self.canary.write(self._versions.folder)
        else:
            self.canary = self.canary.with_status("no worse", reason)
            self.canary.write(self._versions.folder)
        log_event(logging.WARNING, "canary", version=name, status=self.canary.status, cause=str(found))

    def _show(self) -> None:
        metrics, found = self._metrics, self.comparison
        metrics.canary_share.set(
            1.0 if self.canary.status == "promoted" else self.canary.share * self.canary.gives_candidate
        )
        for arm, interval in (("candidate", found.candidate), ("served", found.served)):
            metrics.canary_users.labels(arm).set(interval.n)
            if interval.value is not None:
                metrics.canary_satisfaction.labels(arm).set(interval.value)
        difference = found.difference
        for name, value in (("low", difference.low), ("estimate", difference.value), ("high", difference.high)):
            if value is not None:
                metrics.canary_difference.labels(name).set(value)
