"""What a canary observes: one conversation of every user, in the order in which they ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from telic.episodes import Episode, assistant_role
from telic.feedback import Labeller
from telic.feedback.summaries import conclude
from telic.judges import Judge
from telic.promotion.canary import Canary
from telic.promotion.records import BASE
from telic.server.consents import Consents, LearnFrom
from telic.server.store_export import episodes_of
from telic.server.tables import canary_observations, conversations

__all__ = ["CanaryObservations"]

PAGE = 100
"""Users that are observed at once."""


@dataclass(frozen=True)
class CanaryObservations:
    """The observations of a canary in a store."""

    engine: Engine
    canary: Canary
    learn: LearnFrom
    """Whose conversations may be read."""
    limits: tuple[Judge, ...] = ()
    """Judges of limits: a refusal that one of them demands is not blamed."""

    def observe(self, idle_seconds: float) -> int:
        """Observe the conversations that have ended since the last time.

        A user's first conversation counts. It has ended when nothing was said in it for `idle_seconds`. What it says is
        kept from then on, so the order of the observations never changes.

        Returns:
            Number of users that were observed.
        """
        c, seen = conversations.c, canary_observations
        known = select(seen.c.user).where(seen.c.canary == self.canary.salt)
        ended = (c.created >= self.canary.started, c.updated < time.time() - idle_seconds, c.user.not_in(known))
        with self.engine.connect() as connection:
            rows = connection.execute(select(conversations).where(*ended).order_by(c.updated, c.id).limit(PAGE)).all()
            first = {row.user: row for row in reversed(rows)}
            kept = [row for row in rows if first[row.user] is row]
            episodes = episodes_of(connection, kept) if kept else []
        users = Consents(self.engine).learnable(self.learn)
        labeller = Labeller(limits=self.limits)
        for row, episode in zip(kept, episodes, strict=True):
            value = self._satisfaction(labeller, episode) if row.user in users else None
            self._add(row.user, value)
        return len(kept)

    def read(self) -> list[tuple[bool, float]]:
        """Read the observations in their order: whether the user had the candidate, and the satisfaction."""
        o = canary_observations.c
        query = select(o.version, o.satisfaction).where(o.canary == self.canary.salt, o.satisfaction.is_not(None))
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(o.id))
            return [(row.version == self.canary.candidate, float(row.satisfaction)) for row in rows]

    def _satisfaction(self, labeller: Labeller, episode: Episode) -> float | None:
        """Return the satisfaction with a conversation; None if the user did not have the version of its side."""
        role = assistant_role(episode)
        setups = episode.metadata["setups"]
        replies = [turn for turn in episode.turns if turn.role == role and turn.origin.get("setup")]
        used = [setups[turn.origin["setup"]] for turn in replies]
        found = {(setup.get("purpose"), setup.get("version", BASE)) for setup in used}
        if found != {(self.canary.purpose, self.canary.arm_of(str(episode.metadata["user"])))}:
            return None
        conclusion = conclude(labeller.label(episode))
        return None if conclusion is None else conclusion.satisfaction

    def _add(self, user: str, value: float | None) -> None:
        row = {"canary": self.canary.salt, "user": user, "version": self.canary.arm_of(user), "time": time.time()}
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(canary_observations).values(**row, satisfaction=value))
        except IntegrityError:  # another process of the same server was faster
            return
