"""Whose conversations may be learnt from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, delete, insert, select

from telic.server.errors import ApiError
from telic.server.history import storable
from telic.server.tables import consents

__all__ = ["Consents", "LearnFrom", "LearnableUsers", "parse_consent"]

LearnFrom = Literal["all", "consented", "none"]
"""`all`: everybody who has not objected; `consented`: those who have consented; `none`: nobody."""


@dataclass(frozen=True)
class LearnableUsers:
    """The users whose conversations may be learnt from."""

    learn: LearnFrom
    decisions: dict[str, bool]
    """By user: whether they have consented or objected."""

    def __contains__(self, user: object) -> bool:
        """Return whether a user is one of them. A user of a key's holder follows the holder without an own decision."""
        if self.learn == "none":
            return False
        name = str(user)
        decided = self.decisions.get(name, self.decisions.get(name.partition("/")[0]))
        return self.learn == "all" if decided is None else decided


class Consents:
    """The decisions of users in a store.

    Args:
        engine: the database of the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, user: str, learn: bool | None) -> None:
        """Store the decision of a user; None takes it back."""
        name = storable(user)
        with self._engine.begin() as connection:
            connection.execute(delete(consents).where(consents.c.user == name))
            if learn is not None:
                connection.execute(insert(consents).values(user=name, learn=learn, time=time.time()))

    def get(self, user: str) -> bool | None:
        """Return the decision of a user; None if there is none."""
        with self._engine.connect() as connection:
            query = select(consents.c.learn).where(consents.c.user == storable(user))
            found: bool | None = connection.scalar(query)
            return found

    def learnable(self, learn: LearnFrom) -> LearnableUsers:
        """Return the users whose conversations may be learnt from under a setting."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(consents.c.user, consents.c.learn))
            return LearnableUsers(learn, {row.user: bool(row.learn) for row in rows})


def parse_consent(body: bytes) -> bool | None:
    """Read a decision from JSON: `{"learn": true}`, false to object, null to take the decision back.

    Raises:
        ApiError: it is no decision.
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or set(document) != {"learn"} or not isinstance(document["learn"], bool | None):
        message = 'expected {"learn": true}, {"learn": false}, or {"learn": null} to take the decision back'
        raise ApiError(400, message, param="learn")
    decision: bool | None = document["learn"]
    return decision
