"""The conversation store: a database that holds every served conversation until its user deletes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any
from zlib import crc32

from sqlalchemy import ColumnElement, Connection, Text, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from telic.episodes import Episode
from telic.errors import RunError
from telic.server.annotations import feedback_by_digest, probe_branches_by_conversation
from telic.server.database import open_database, redacted
from telic.server.deletions import delete_conversations, forget_user
from telic.server.history import storable
from telic.server.memory_log import append_to_log, delete_logs, events_of, mark_changed
from telic.server.records import (
    ConversationSummary,
    HistoryMatch,
    NewTurns,
    StoredConversation,
    StoredTurn,
    ToolRecord,
    TurnRecord,
)
from telic.server.store_export import episodes_of
from telic.server.stored_rows import setups_by_digest, turns_by_conversation
from telic.server.stored_users import belongs_to
from telic.server.summaries import family_of, summarise_conversations
from telic.server.tables import conversations, setups, turns

__all__ = ["ConflictError", "ConversationStore"]

EXPORT_PAGE = 100
"""Conversations that an export reads at once."""
MAX_LISTED = 100
"""Conversations that `recent` lists by default."""
MAX_MATCHES = 32
"""Conversations with the same beginning that `find` returns."""


class ConflictError(RunError):
    """A conversation that was deleted or continued elsewhere while a reply was generated."""


class ConversationStore:
    """Conversations in a database. Several threads and processes may use it at once.

    Args:
        location: a file (SQLite), or an address such as `postgresql://user@host/name`.
        create: whether to create a missing file.

    Raises:
        ConfigError: the database cannot be opened.
    """

    def __init__(self, location: str, *, create: bool = True) -> None:
        self.engine = open_database(location, create=create)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.location = redacted(self.engine.url) if "://" in location else location
        """The file or address, without a password."""

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def check(self, *, write: bool) -> None:
        """Read from the database, or write to it without changing anything."""
        query = "UPDATE telic_version SET version_num = version_num" if write else "SELECT 1 FROM telic_version"
        with self.engine.begin() as connection:
            connection.exec_driver_sql(query)

    def find(self, user: str, digests: Sequence[str], conversation: str | None = None) -> list[HistoryMatch]:
        """Find the conversations of a user that begin with as much of a history as possible.

        A match ends with a reply, or where the conversation ends. Those that end there come first, latest first.

        Args:
            user: whose conversations.
            digests: one for each prefix of the history (`History.digests`).
            conversation: search this conversation only.
        """
        # A user may have any number of conversations, all with the same beginning: no query may read them all. A digest
        # includes the user; if a query named the user too, SQLite would go through all of the user's conversations.
        c, t = conversations.c, turns.c
        only = () if conversation is None else (c.id == storable(conversation),)
        ends = select(c.id, c.user).where(*only)
        replies = select(c.id, c.user).join_from(turns, conversations).where(t.role == "assistant", *only)
        with self.engine.connect() as connection:
            given = self._rows(digests)
            matches = or_(ends.where(c.last_digest == given).exists(), replies.where(t.digest == given).exists())
            known = set(connection.scalars(select(given).where(matches)))
            length = max((index + 1 for index, digest in enumerate(digests) if digest in known), default=0)
            if not length:
                return []
            digest = digests[length - 1]
            latest = ends.where(c.last_digest == digest).order_by(c.updated.desc()).limit(MAX_MATCHES)
            whole = [name for name, owner in connection.execute(latest) if owner == user]
            begun = replies.where(t.digest == digest).limit(MAX_MATCHES)
            others = {name for name, owner in connection.execute(begun) if owner == user} - set(whole)
        return [HistoryMatch(name, length, name in whole) for name in (*whole, *sorted(others))]

    def _rows(self, values: Sequence[str]) -> ColumnElement[str]:
        """Make a column with these values, any number of them."""
        if self.is_sqlite:
            given = func.json_each(json.dumps(list(values))).table_valued("value", name="given")
        else:
            array = literal(list(values), postgresql.ARRAY(Text))
            given = func.unnest(array).table_valued("value", name="given").render_derived()
        return given.c.value

    def has(self, user: str, conversation: str) -> bool:
        """Return whether a user has a conversation of this id."""
        query = select(literal(1)).where(conversations.c.id == storable(conversation), conversations.c.user == user)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def ids_of(self, user: str) -> list[str]:
        """Return the ids of the conversations of exactly this user."""
        with self.engine.connect() as connection:
            return list(connection.scalars(select(conversations.c.id).where(conversations.c.user == user)))

    def owner_of(self, holder: str, conversation: str) -> str | None:
        """Return the user of a conversation of a holder, or of a user whom its requests named; None if none is."""
        query = select(conversations.c.user).where(conversations.c.id == storable(conversation), belongs_to(holder))
        with self.engine.connect() as connection:
            owner: str | None = connection.scalar(query)
        return owner

    def defence_actions(self, user: str, names: Sequence[str]) -> set[tuple[str, str]]:
        """Return which defences did what in these conversations of a user: pairs of a name and an action."""
        t, c = turns.c, conversations.c
        query = select(t.defences).join_from(turns, conversations)
        query = query.where(c.id.in_(list(map(storable, names))), c.user == user, t.defences.is_not(None))
        with self.engine.connect() as connection:
            acted = list(connection.scalars(query))
        return {(record["defence"], record["action"]) for records in acted for record in records}

    def add(self, new: NewTurns) -> None:
        """Store turns; they are on disk when this returns.

        Raises:
            ConflictError: the conversation was deleted or continued elsewhere since the reply began.
        """
        with self.engine.begin() as connection:
            if new.setup is not None:
                upsert = sqlite.insert if self.is_sqlite else postgresql.insert
                row = {"digest": new.setup.digest, "content": dict(new.setup.content)}
                connection.execute(upsert(setups).values(row).on_conflict_do_nothing())
            if new.new:
                _insert_conversation(connection, new)
            else:
                _extend_conversation(connection, new)
            rows = [
                {"conversation": new.conversation, "position": new.start + index, **_row(turn)}
                for index, turn in enumerate(new.turns)
            ]
            connection.execute(insert(turns), rows)
            if new.remembering:
                append_to_log(connection, new.user, new.remembering, events_of(new), new.conversation)

    def episodes(
        self,
        user: str | None = None,
        part: tuple[int, int] = (0, 1),
        since: float | None = None,
        page_size: int | None = None,
    ) -> Iterator[Episode]:
        """Read all conversations, or those of one user, oldest first, as episodes.

        Args:
            user: the holder of an API key with all its users, or one of those.
            part: only a share of the users: its number, from 0, and the number of shares.
            since: only those that began at this time or later, in seconds since 1970.
            page_size: conversations that are read at once; by default 100.
        """
        size = EXPORT_PAGE if page_size is None else page_size
        after: tuple[float, str] | None = None
        while True:
            c = conversations.c
            query = select(conversations).order_by(c.created, c.id).limit(size)
            if user is not None:
                query = query.where(belongs_to(user))
            if since is not None:
                query = query.where(c.created >= since)
            if after is not None:
                query = query.where(or_(c.created > after[0], (c.created == after[0]) & (c.id > after[1])))
            with self.engine.connect() as connection:
                page = connection.execute(query).all()
                shared = [row for row in page if crc32(row.user.encode()) % part[1] == part[0]]
                episodes = episodes_of(connection, shared) if shared else []
            yield from episodes
            if len(page) < size:
                return
            after = page[-1].created, page[-1].id

    def created_of_latest(self, count: int, user: str | None = None) -> float | None:
        """Return when the first of the latest conversations began; None if there are no more than `count`.

        Args:
            count: how many are the latest.
            user: only those of this user; see `episodes`.
        """
        c = conversations.c
        query = select(c.created).order_by(c.created.desc()).offset(count - 1).limit(2)
        if user is not None:
            query = query.where(belongs_to(user))
        with self.engine.connect() as connection:
            found = list(connection.scalars(query))
        return float(found[0]) if len(found) == 2 else None

    def conversation(self, user: str, conversation: str) -> StoredConversation | None:
        """Read a conversation with its annotations; returns None if the user has no such conversation."""
        c = conversations.c
        with self.engine.connect() as connection:
            system = connection.scalar(select(c.system).where(c.id == conversation, c.user == user))
            if system is None:
                return None
            rows = turns_by_conversation(connection, [conversation])[conversation]
            setup_contents = setups_by_digest(connection, rows)
            feedback = feedback_by_digest(connection, [row.digest for row in rows])
            branches = probe_branches_by_conversation(connection, [conversation]).get(conversation, [])
        stored = [
            StoredTurn(
                row.position, row.role, row.text, row.finish, row.time, row.planner, row.readings,
                setup_contents.get(row.setup, {}), row.defences or (), feedback.get(row.digest, ()),
                [branch for position, branch in branches if position == row.position],
                ToolRecord.model_validate(row.tools or {}),
            )
            for row in rows
        ]  # fmt: skip
        return StoredConversation(system, stored)

    def recent(self, user: str, limit: int = MAX_LISTED, words: str = "") -> list[ConversationSummary]:
        """List the conversations of exactly this user, latest first; only those with all of these words, if any.

        Those of `holder/name` users are not the holder's.
        """
        with self.engine.connect() as connection:
            return summarise_conversations(connection, conversations.c.user == user, words=words, limit=limit)

    def summaries(
        self, user: str | None = None, words: str = "", limit: int | None = None
    ) -> list[ConversationSummary]:
        """List the conversations of all users, or of one with those that its requests named, latest first."""
        conditions = [] if user is None else [belongs_to(user)]
        with self.engine.connect() as connection:
            return summarise_conversations(connection, *conditions, words=words, limit=limit)

    def delete_family(self, user: str, conversation: str) -> list[str]:
        """Delete a conversation of exactly this user, with its branches and those that it branched off from.

        Returns:
            The ids of the deleted conversations; none if the user has no such conversation.
        """
        with self.engine.begin() as connection:
            family = family_of(connection, user, storable(conversation))
            deleted = delete_conversations(connection, conversations.c.id.in_(family))
            mark_changed(connection, user)
        self.empty_write_ahead_log()
        return deleted

    def delete(self, user: str) -> list[str]:
        """Delete everything stored about a user; the holder of an API key includes the users that its requests named.

        Returns:
            The ids of the deleted conversations.
        """
        with self.engine.begin() as connection:
            deleted = delete_conversations(connection, belongs_to(user))
            forget_user(connection, user)
            delete_logs(connection, user)
        self.empty_write_ahead_log()
        return deleted

    def delete_before(self, time: float) -> list[str]:
        """Delete the conversations whose last turn is older than a time, in seconds since 1970.

        Returns:
            Their ids.
        """
        with self.engine.begin() as connection:
            old = conversations.c.updated < time
            users = list(connection.scalars(select(conversations.c.user).where(old).distinct()))
            deleted = delete_conversations(connection, old)
            for user in users:
                mark_changed(connection, user)
        if deleted:
            self.empty_write_ahead_log()
        return deleted

    def empty_write_ahead_log(self) -> None:
        """Write what was deleted over, also in the file beside an SQLite database."""
        if self.is_sqlite:  # the write-ahead log still contains the deleted text
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def users(self) -> dict[str, int]:
        """Count the conversations of each user."""
        c = conversations.c
        query = select(c.user, func.count()).group_by(c.user).order_by(c.user)
        with self.engine.connect() as connection:
            return {row.user: row[1] for row in connection.execute(query)}


def _insert_conversation(connection: Connection, new: NewTurns) -> None:
    now = new.turns[-1].time
    row = {
        "id": new.conversation,
        "user": new.user,
        "parent": new.parent,
        "system": storable(new.system),
        "length": new.start + len(new.turns),
        "created": now,
        "updated": now,
        "last_digest": new.turns[-1].digest,
    }
    connection.execute(insert(conversations).values(row))
    if new.start:
        shared = [
            literal(new.conversation).label(column.name) if column is turns.c.conversation else column
            for column in turns.c
        ]
        source = select(*shared).where(turns.c.conversation == new.parent, turns.c.position < new.start)
        copy = insert(turns).from_select(list(turns.c), source).execution_options(preserve_rowcount=True)
        if connection.execute(copy).rowcount != new.start:
            raise ConflictError(f"conversation {new.parent!r} was deleted meanwhile")


def _extend_conversation(connection: Connection, new: NewTurns) -> None:
    c = conversations.c
    last = new.turns[-1]
    values = {"length": new.start + len(new.turns), "updated": last.time, "last_digest": last.digest}
    unchanged = (c.id == new.conversation, c.user == new.user, c.length == new.start)
    if connection.execute(update(conversations).where(*unchanged).values(values)).rowcount != 1:
        raise ConflictError(
            f"conversation {new.conversation!r} was deleted or continued elsewhere meanwhile; send the request again"
        )


def _row(turn: TurnRecord) -> dict[str, Any]:
    row = asdict(replace(turn, tools=ToolRecord()))
    planner, defences = row.pop("planner_choice"), list(turn.defences) or None
    own = {"planner": planner, "alternatives": list(turn.alternatives), "defences": defences}
    return {**row, **own, "text": storable(turn.text), "tools": turn.tools.as_json()}
