"""Users in the conversation store."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_

from telic.server.history import storable
from telic.server.tables import conversations

__all__ = ["belongs_to"]


def belongs_to(user: str) -> ColumnElement[bool]:
    """Match a user. The holder of a key includes the users that its requests named (`holder/name`)."""
    c, user = conversations.c, storable(user)
    if "/" in user:
        return c.user == user
    return or_(c.user == user, c.user.startswith(f"{user}/", autoescape=True))
