"""Deleting conversations: of a user, of a family of branches, of an age.

The ids of deleted conversations stay, without anything that was said, so that versions that were trained on them can
be marked. What is kept of a user for a running canary loses the user's name.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from telic.server.stored_users import belongs_to
from telic.server.tables import canary_observations, consents, conversations, deleted_conversations

__all__ = ["delete_conversations", "deleted_ids", "forget_user"]

PAGE = 500
"""Conversations that one statement deletes."""


def delete_conversations(connection: Connection, condition: ColumnElement[bool]) -> list[str]:
    """Delete the conversations that meet a condition on their table, with all that refers to them.

    Returns:
        Their ids.
    """
    c = conversations.c
    deleted = list(connection.scalars(select(c.id).where(condition)))
    now = time.time()
    for start in range(0, len(deleted), PAGE):
        page = deleted[start : start + PAGE]
        connection.execute(delete(conversations).where(c.id.in_(page)))
        known = set(connection.scalars(select(deleted_conversations.c.id).where(deleted_conversations.c.id.in_(page))))
        rows = [{"id": one, "time": now} for one in page if one not in known]
        if rows:
            connection.execute(insert(deleted_conversations), rows)
    return deleted


def forget_user(connection: Connection, user: str) -> None:
    """Remove what is stored about a user besides conversations."""
    connection.execute(delete(consents).where(belongs_to(user, consents.c.user)))
    o = canary_observations.c
    for number in list(connection.scalars(select(o.id).where(belongs_to(user, o.user)))):
        name = f"deleted {uuid4().hex}"
        connection.execute(update(canary_observations).where(o.id == number).values(user=name))


def deleted_ids(engine: Engine, among: Sequence[str] | None = None) -> set[str]:
    """Return the ids of all deleted conversations, or of those among some.

    Args:
        engine: the database of the store.
        among: only these.
    """
    query = select(deleted_conversations.c.id)
    with engine.connect() as connection:
        if among is None:
            return set(connection.scalars(query))
        pages = [among[start : start + PAGE] for start in range(0, len(among), PAGE)]
        column = deleted_conversations.c.id
        return {one for page in pages for one in connection.scalars(query.where(column.in_(page)))}
