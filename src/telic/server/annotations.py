"""What is added to a turn after it was kept: readings, probes asked aside, and what its user thought of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Engine, insert, select, update

from telic.episodes import Branch
from telic.errors import DataError, RunError
from telic.server.tables import branches, conversations, feedback, turns

__all__ = ["Annotations", "Feedback", "FeedbackKind", "branches_of", "feedback_of", "feedback_on"]

FeedbackKind = Literal["thumb", "edit", "preferred"]
"""`thumb`: 1, -1, or 0 for taken back. `edit`: the text that the user made of a reply. `preferred`: of two replies to
the same words, this one; the value names the other."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thought of a turn."""

    kind: str
    value: Any
    time: float
    """Seconds since 1970."""

    def plain(self) -> dict[str, Any]:
        """As it stands in an episode."""
        return {"kind": self.kind, "value": self.value, "time": self.time}


class Annotations:
    """Adds to turns that were kept. All methods refuse a conversation that is not the user's.

    Args:
        engine: the store's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_feedback(self, user: str, conversation: str, position: int, kind: FeedbackKind, value: Any) -> None:
        """Keep what a user thought of a turn; of several of a kind, the last one counts.

        Raises:
            DataError: it is no feedback.
            RunError: there is no such turn.
        """
        _check(kind, value)
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            now = time.time()
            row = {"conversation": conversation, "position": position, "time": now, "kind": kind, "value": value}
            connection.execute(insert(feedback).values(row))
            if kind != "thumb":  # the user goes on from here, so it leads the list
                own = conversations.c.id == conversation
                connection.execute(update(conversations).where(own).values(updated=now))

    def add_branches(self, user: str, conversation: str, position: int, asked: Iterable[Branch]) -> None:
        """Keep probes that were asked aside after a turn.

        Raises:
            RunError: there is no such turn.
        """
        now = time.time()
        rows = [
            {"conversation": conversation, "position": position, "time": now, "content": one.model_dump(mode="json")}
            for one in asked
        ]
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            if rows:
                connection.execute(insert(branches), rows)

    def add_readings(self, user: str, conversation: str, position: int, readings: Mapping[str, Any]) -> None:
        """Keep more that was read off the model at a turn, beside what is there.

        Raises:
            RunError: there is no such turn.
        """
        this = (turns.c.conversation == conversation, turns.c.position == position)
        with self._engine.begin() as connection:
            _require(connection, user, conversation, position)
            before = connection.execute(select(turns.c.readings).where(*this)).scalar_one()
            connection.execute(update(turns).where(*this).values(readings={**before, **readings}))


def _check(kind: str, value: Any) -> None:
    good = {
        "thumb": isinstance(value, int) and value in (-1, 0, 1),
        "edit": isinstance(value, str) and bool(value.strip()),
        "preferred": isinstance(value, Mapping),
    }
    if not good.get(kind, False):
        expected = "; ".join(("thumb: -1, 0 or 1", "edit: some text", "preferred: a mapping"))
        known = ", ".join(get_args(FeedbackKind))
        what = f"{value!r} is no value of {kind!r}" if kind in good else f"unknown feedback {kind!r} (known: {known})"
        raise DataError(f"{what}; expected {expected}")


def _require(connection: Connection, user: str, conversation: str, position: int) -> None:
    query = select(turns.c.position).join_from(turns, conversations)
    query = query.where(
        conversations.c.user == user, turns.c.conversation == conversation, turns.c.position == position
    )
    if connection.execute(query).first() is None:
        raise RunError(f"there is no turn {position} in a conversation {conversation!r} of this user")


def feedback_of(connection: Connection, ids: Sequence[str]) -> dict[tuple[str, int], list[Feedback]]:
    """By conversation and position, in the order in which it came."""
    found: dict[tuple[str, int], list[Feedback]] = {}
    query = select(feedback).where(feedback.c.conversation.in_(ids)).order_by(feedback.c.id)
    for row in connection.execute(query):
        found.setdefault((row.conversation, row.position), []).append(Feedback(row.kind, row.value, row.time))
    return found


def feedback_on(connection: Connection, digests: Sequence[str]) -> dict[str, list[Feedback]]:
    """By digest of the turn: also what was said of the same words, in the same place, on another branch."""
    found: dict[str, list[Feedback]] = {}
    this = (turns.c.conversation == feedback.c.conversation) & (turns.c.position == feedback.c.position)
    query = select(turns.c.digest, feedback).join_from(feedback, turns, this)
    for row in connection.execute(query.where(turns.c.digest.in_(digests)).order_by(feedback.c.id)):
        found.setdefault(row.digest, []).append(Feedback(row.kind, row.value, row.time))
    return found


def branches_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[int, Branch]]]:
    """By conversation: the probes that were asked, each with the position after which."""
    found: dict[str, list[tuple[int, Branch]]] = {}
    query = select(branches).where(branches.c.conversation.in_(ids)).order_by(branches.c.id)
    for row in connection.execute(query):
        found.setdefault(row.conversation, []).append((row.position, Branch.model_validate(row.content)))
    return found
