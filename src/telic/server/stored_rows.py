"""Rows of stored turns and setups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from telic.server.tables import setups, turns

__all__ = ["setups_by_digest", "turns_by_conversation"]


def turns_by_conversation(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Read the rows of all turns of conversations, in order."""
    found: dict[str, list[Row[Any]]] = {name: [] for name in ids}
    query = select(turns).where(turns.c.conversation.in_(ids)).order_by(turns.c.conversation, turns.c.position)
    for row in connection.execute(query).all():
        found[row.conversation].append(row)
    return found


def setups_by_digest(connection: Connection, turn_rows: Iterable[Row[Any]]) -> dict[str, Any]:
    """Read the setups that rows of turns refer to."""
    query = select(setups).where(setups.c.digest.in_({row.setup for row in turn_rows if row.setup}))
    return {row.digest: row.content for row in connection.execute(query)}
