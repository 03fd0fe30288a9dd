"""Users in the conversation store."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_

from telic.server.history import storable
from telic.server.tables import conversations

__all__ = ["belongs_to"]


def belongs_to(user: str, column: ColumnElement[str] = conversations.c.user) -> ColumnElement[bool]:
    """Match a user in a column. The holder of a key includes the users that its requests named (`holder/name`)."""
    user = storable(user)
    if "/" in user:
        return column == user
    return or_(column == user, column.startswith(f"{user}/", autoescape=True))
