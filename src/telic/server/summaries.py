"""Conversations in a list: who, when, the first and the last words, what the user thought of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from telic.server.records import ConversationSummary
from telic.server.tables import conversations, feedback, turns

__all__ = ["family_of", "root_of", "summarise_conversations"]

EXCERPT = 300
"""Characters of a turn that a summary has."""
PAGE = 500
"""Conversations whose feedback one query reads."""


def summarise_conversations(
    connection: Connection, *conditions: ColumnElement[bool], words: str = "", limit: int | None = None
) -> list[ConversationSummary]:
    """List conversations, latest first.

    Args:
        connection: to the store.
        *conditions: of the table `conversations`.
        words: list only conversations in which each of these words occurs.
        limit: at most so many.
    """
    c, first, last = conversations.c, turns.alias(), turns.alias()
    query = (
        select(
            c.id, c.user, c.parent, c.created, c.updated, c.length,
            func.substr(first.c.text, 1, EXCERPT), func.substr(last.c.text, 1, EXCERPT),
        )
        .join_from(conversations, first, (first.c.conversation == c.id) & (first.c.position == 0))
        .join(last, (last.c.conversation == c.id) & (last.c.position == c.length - 1))
        .where(*conditions, *(_occurs(word) for word in words.split()))
        .order_by(c.updated.desc(), c.id)
        .limit(limit)
    )  # fmt: skip
    rows = connection.execute(query).all()
    given = _feedback_of(connection, [row.id for row in rows])
    return [ConversationSummary(*row, given.get(row.id, {})) for row in rows]


def family_of(connection: Connection, user: str, conversation: str) -> list[str]:
    """Return a conversation of a user with all that it branched off from, or that branched off from it.

    It is empty if the user has no such conversation.
    """
    c = conversations.c
    parents = {row.id: row.parent for row in connection.execute(select(c.id, c.parent).where(c.user == user))}
    root = root_of(conversation, parents)
    return [name for name in parents if root_of(name, parents) == root] if conversation in parents else []


def root_of(name: str, parents: Mapping[str, str | None]) -> str:
    """Return the oldest of `parents` that a conversation branched off from; its own parent may be deleted."""
    seen = {name}
    while (parent := parents.get(name)) is not None and parent in parents and parent not in seen:
        seen.add(parent)
        name = parent
    return name


def _occurs(word: str) -> ColumnElement[bool]:
    return exists().where(turns.c.conversation == conversations.c.id, turns.c.text.icontains(word, autoescape=True))


def _feedback_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the feedback on the turns of conversations; of several of one kind on a turn, the last one counts."""
    latest: dict[tuple[str, int, str], Any] = {}
    f = feedback.c
    for start in range(0, len(ids), PAGE):
        query = select(f.conversation, f.position, f.kind, f.value).where(f.conversation.in_(ids[start : start + PAGE]))
        for conversation, position, kind, value in connection.execute(query.order_by(f.id)):
            latest[conversation, position, kind] = value
    counts: dict[str, Counter[str]] = {}
    for (conversation, _, kind), value in latest.items():
        name = {1: "good", -1: "bad", 0: ""}[value] if kind == "thumb" else kind
        if name:
            counts.setdefault(conversation, Counter())[name] += 1
    return {name: dict(count) for name, count in counts.items()}
