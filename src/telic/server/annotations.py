"""Annotations of stored turns: readings, answers to probes, and the user's feedback."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, Select, insert, select, update

from telic.episodes import Branch, Feedback
from telic.errors import DataError, RunError
from telic.feedback.given import given_feedback
from telic.server.tables import conversations, feedback, probe_branches_table, turns

__all__ = [
    "Annotations",
    "FeedbackKind",
    "feedback_by_digest",
    "feedback_by_turn",
    "probe_branches_by_conversation",
]

FeedbackKind = Literal["thumb", "edit", "preferred"]
"""`thumb`: 1, -1, or 0 if it was withdrawn. `edit`: the user's version of a reply. `preferred`: the user chose this one
of two replies to the same message; the value names the other."""


class Annotations:
    """Annotations of the turns in a store. All methods refuse a conversation of another user.

    Args:
        engine: the database of the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_feedback(self, user: str, conversation: str, position: int, kind: FeedbackKind, value: Any) -> None:
        """Add a user's feedback on a turn; of several of one kind, the last one counts.

        Raises:
            DataError: the kind or the value is invalid.
            RunError: there is no such turn.
        """
        _check(kind, value)
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            now = time.time()
            row = {"conversation": conversation, "position": position, "time": now, "kind": kind, "value": value}
            connection.execute(insert(feedback).values(row))
            if kind != "thumb":  # the user continues from here, so the conversation moves to the top of the list
                own = conversations.c.id == conversation
                connection.execute(update(conversations).where(own).values(updated=now))

    def add_probe_branches(self, user: str, conversation: str, position: int, new: Iterable[Branch]) -> None:
        """Add the probes that were asked after a turn, with their answers.

        Raises:
            RunError: there is no such turn.
        """
        now = time.time()
        rows = [
            {"conversation": conversation, "position": position, "time": now, "content": one.model_dump(mode="json")}
            for one in new
        ]
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            if rows:
                connection.execute(insert(probe_branches_table), rows)

    def add_readings(self, user: str, conversation: str, position: int, readings: Mapping[str, Any]) -> None:
        """Add readings to those of a turn.

        Raises:
            RunError: there is no such turn.
        """
        this = (turns.c.conversation == conversation, turns.c.position == position)
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            before = connection.execute(select(turns.c.readings).where(*this)).scalar_one()
            connection.execute(update(turns).where(*this).values(readings={**before, **readings}))


def _check(kind: str, value: Any) -> None:
    valid = {
        "thumb": isinstance(value, int) and value in (-1, 0, 1),
        "edit": isinstance(value, str) and bool(value.strip()),
        "preferred": isinstance(value, Mapping),
    }
    expected = "expected thumb: -1, 0 or 1; edit: some text; preferred: a mapping"
    if kind not in valid:
        raise DataError(f"unknown feedback {kind!r}; {expected}")
    if not valid[kind]:
        raise DataError(f"invalid value {value!r} of feedback {kind!r}; {expected}")


def _require(connection: Connection, user: str, conversation: str, position: int) -> None:
    query = select(turns.c.position).join_from(turns, conversations)
    query = query.where(
        conversations.c.user == user, turns.c.conversation == conversation, turns.c.position == position
    )
    if connection.execute(query).first() is None:
        raise RunError(f"there is no turn {position} in conversation {conversation!r} of this user")


def feedback_by_turn(connection: Connection, ids: Sequence[str]) -> dict[tuple[str, int], list[Feedback]]:
    """Read feedback by conversation and position, oldest first."""
    found: dict[tuple[str, int], list[Feedback]] = {}
    query = _feedback_query().where(feedback.c.conversation.in_(ids))
    for row in connection.execute(query):
        found.setdefault((row.conversation, row.position), []).append(_feedback(row))
    return found


def feedback_by_digest(connection: Connection, digests: Sequence[str]) -> dict[str, list[Feedback]]:
    """Read feedback by digest of the turn, which includes feedback on the same turn of other branches."""
    found: dict[str, list[Feedback]] = {}
    for row in connection.execute(_feedback_query().where(turns.c.digest.in_(digests))):
        found.setdefault(row.digest, []).append(_feedback(row))
    return found


def _feedback_query() -> Select[Any]:
    this = (turns.c.conversation == feedback.c.conversation) & (turns.c.position == feedback.c.position)
    query = select(turns.c.digest, turns.c.text, feedback).join_from(feedback, turns, this)
    return query.order_by(feedback.c.id)


def _feedback(row: Row[Any]) -> Feedback:
    return given_feedback(row.kind, row.value, row.position, row.text, row.time)


def probe_branches_by_conversation(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[int, Branch]]]:
    """Read the probes asked in conversations, each with the position of the turn before it."""
    found: dict[str, list[tuple[int, Branch]]] = {}
    query = select(probe_branches_table).where(probe_branches_table.c.conversation.in_(ids))
    for row in connection.execute(query.order_by(probe_branches_table.c.id)):
        found.setdefault(row.conversation, []).append((row.position, Branch.model_validate(row.content)))
    return found
