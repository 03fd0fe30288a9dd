"""The live store: every conversation that was served, until its user wants it gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from telic.episodes import Branch, Episode, Turn
from telic.errors import RunError
from telic.server.annotations import Feedback, branches_of, feedback_of, feedback_on
from telic.server.database import open_database, shown
from telic.server.history import storable
from telic.server.tables import conversations, setups, turns

__all__ = [
    "Addition",
    "ConflictError",
    "ConversationStore",
    "Kept",
    "KeptTurn",
    "Match",
    "Setup",
    "Summary",
    "TurnRecord",
]

PAGE = 100
"""Conversations that an export reads at once."""
MATCHES = 32
"""Conversations looked at that begin alike."""


class ConflictError(RunError):
    """A conversation was deleted, or went on elsewhere, while a reply was under way."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Under what a reply was given: purpose, model, controls, planner; named by a digest of all that."""

    digest: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One utterance, as it is kept."""

    role: str
    text: str
    digest: str
    """Of the user, and all that was said up to and with this turn."""
    time: float
    """Seconds since 1970."""
    finish: str = "given"
    """Why it ended; `given` by the client, `left` where the client went away."""
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    setup: str | None = None
    """Digest of the setup."""
    logprob: float | None = None
    """Log-probability of the whole reply, in nats."""
    planner: Mapping[str, Any] = field(default_factory=dict)
    """What the planner chose, and the choice's log-probability."""
    readings: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    alternatives: Sequence[Mapping[str, Any]] = ()
    """The other choices, of which the conversation may go on with one on a branch."""


@dataclass(frozen=True, slots=True)
class Match:
    """A conversation of which the first `length` turns are the history that a client sent."""

    conversation: str
    length: int
    whole: bool
    """Whether it has no turns beyond those."""


@dataclass(frozen=True, slots=True)
class Addition:
    """Turns to be kept: the next ones of a conversation, or a new one."""

    conversation: str
    user: str
    turns: tuple[TurnRecord, ...]
    position: int = 0
    """Where they go on, in a conversation that there is."""
    new: bool = True
    parent: str | None = None
    """Of a new one: the conversation that it branches off from, whose first `position` turns it shares."""
    system: str = ""
    """The client's own system message."""
    setup: Setup | None = None


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """A turn as it is shown again, with all that was added to it."""

    position: int
    role: str
    text: str
    finish: str
    time: float
    """Seconds since 1970."""
    planner: Mapping[str, Any]
    readings: Mapping[str, Any]
    setup: Mapping[str, Any]
    """Under what it was given: purpose, model, controls; empty for what was said to the model."""
    feedback: Sequence[Feedback] = ()
    branches: Sequence[Branch] = ()
    """Probes that were asked after it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation as it is shown again."""

    system: str
    """The client's own system message."""
    turns: list[KeptTurn]


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation in a list of them."""

    conversation: str
    parent: str | None
    updated: float
    """Seconds since 1970."""
    length: int
    """Number of turns."""
    opening: str
    """What was said first."""


class ConversationStore:
    """Keeps conversations in a database; safe to use from several threads and processes.

    Args:
        place: a file (SQLite), or an address such as `postgresql://user@host/name`.
        create: make the file if there is none.

    Raises:
        ConfigError: it cannot be opened.
    """

    def __init__(self, place: str, *, create: bool = True) -> None:
        self.engine = open_database(place, create=create)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.place = shown(self.engine.url) if "://" in place else place
        """Where it is, as it may be shown: without a password."""

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def find(self, user: str, digests: Sequence[str], conversation: str | None = None) -> list[Match]:
        """The conversations of a user that begin with a history, longest agreement first.

        A history is met at the end of a reply, or where a conversation ends.

        Args:
            user: whose conversations.
            digests: of each beginning of the history.
            conversation: look at this one only.
        """
        c, t = conversations.c, turns.c
        left = c.length - t.position - 1
        query = (
            select(c.id, t.position, left)
            .join_from(turns, conversations)
            .where(c.user == user, t.digest.in_(digests), or_(t.role == "assistant", left == 0))
            .order_by(t.position.desc(), left, c.updated.desc())
            .limit(MATCHES)
        )
        if conversation is not None:
            query = query.where(c.id == storable(conversation))
        with self.engine.connect() as connection:
            return [Match(name, position + 1, rest == 0) for name, position, rest in connection.execute(query)]

    def has(self, user: str, conversation: str) -> bool:
        """Whether a user has a conversation of this id."""
        query = select(literal(1)).where(conversations.c.id == storable(conversation), conversations.c.user == user)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def add(self, addition: Addition) -> None:
        """Keep turns; they are on disk when this returns.

        Raises:
            ConflictError: the conversation is not what it was when the reply began.
        """
        with self.engine.begin() as connection:
            if addition.setup is not None:
                kind = sqlite.insert if self.is_sqlite else postgresql.insert
                row = {"digest": addition.setup.digest, "content": dict(addition.setup.content)}
                connection.execute(kind(setups).values(row).on_conflict_do_nothing())
            if addition.new:
                self._open(connection, addition)
            else:
                self._go_on(connection, addition)
            rows = [
                {"conversation": addition.conversation, "position": addition.position + index, **_row(turn)}
                for index, turn in enumerate(addition.turns)
            ]
            connection.execute(insert(turns), rows)

    def _open(self, connection: Connection, addition: Addition) -> None:
        now = addition.turns[-1].time
        row = {
            "id": addition.conversation,
            "user": addition.user,
            "parent": addition.parent,
            "system": storable(addition.system),
            "length": addition.position + len(addition.turns),
            "created": now,
            "updated": now,
        }
        connection.execute(insert(conversations).values(row))
        if addition.position:
            shared = [
                literal(addition.conversation).label(column.name) if column is turns.c.conversation else column
                for column in turns.c
            ]
            source = select(*shared).where(
                turns.c.conversation == addition.parent, turns.c.position < addition.position
            )
            copy = insert(turns).from_select(list(turns.c), source).execution_options(preserve_rowcount=True)
            copied = connection.execute(copy).rowcount
            if copied != addition.position:
                raise ConflictError(f"conversation {addition.parent!r} was deleted meanwhile")

    def _go_on(self, connection: Connection, addition: Addition) -> None:
        c = conversations.c
        longer = {"length": addition.position + len(addition.turns), "updated": addition.turns[-1].time}
        this = (c.id == addition.conversation, c.user == addition.user, c.length == addition.position)
        if connection.execute(update(conversations).where(*this).values(longer)).rowcount != 1:
            raise ConflictError(
                f"conversation {addition.conversation!r} was deleted or went on elsewhere meanwhile; send it again"
            )

    def episodes(self, user: str | None = None) -> Iterator[Episode]:
        """All conversations, or those of one user, oldest first, as episodes."""
        after: tuple[float, str] | None = None
        while True:
            c = conversations.c
            query = select(conversations).order_by(c.created, c.id).limit(PAGE)
            if user is not None:
                query = query.where(_belongs(user))
            if after is not None:
                query = query.where(or_(c.created > after[0], (c.created == after[0]) & (c.id > after[1])))
            with self.engine.connect() as connection:
                page = connection.execute(query).all()
                said = _turns_of(connection, [row.id for row in page])
                known = _setups_of(connection, (row for rows in said.values() for row in rows))
                thought = feedback_of(connection, [row.id for row in page])
                asked = branches_of(connection, [row.id for row in page])
            for row in page:
                episode = _episode(row, said[row.id], known)
                episode.branches = [branch for _, branch in asked.get(row.id, ())]
                for turn, kept in zip(episode.turns, said[row.id], strict=True):
                    if own := thought.get((row.id, kept.position)):
                        turn.origin["feedback"] = [one.plain() for one in own]
                yield episode
            if len(page) < PAGE:
                return
            after = page[-1].created, page[-1].id

    def conversation(self, user: str, conversation: str) -> Kept | None:
        """A conversation with all that was added to it; None if the user has no such one."""
        c = conversations.c
        with self.engine.connect() as connection:
            system = connection.scalar(select(c.system).where(c.id == conversation, c.user == user))
            if system is None:
                return None
            rows = _turns_of(connection, [conversation])[conversation]
            known = _setups_of(connection, rows)
            thought = feedback_on(connection, [row.digest for row in rows])
            asked = branches_of(connection, [conversation]).get(conversation, [])
        turns_ = [
            KeptTurn(
                row.position, row.role, row.text, row.finish, row.time, row.planner, row.readings,
                known.get(row.setup, {}), thought.get(row.digest, ()),
                [branch for position, branch in asked if position == row.position],
            )
            for row in rows
        ]  # fmt: skip
        return Kept(system, turns_)

    def recent(self, user: str, limit: int = PAGE) -> list[Summary]:
        """A user's own conversations, the latest first; not those of the users that an API key's requests named."""
        c, t = conversations.c, turns.c
        query = (
            select(c.id, c.parent, c.updated, c.length, t.text)
            .join_from(conversations, turns, (t.conversation == c.id) & (t.position == 0))
            .where(c.user == user)
            .order_by(c.updated.desc(), c.id)
            .limit(limit)
        )
        with self.engine.connect() as connection:
            return [Summary(*row) for row in connection.execute(query)]

    def delete(self, user: str) -> list[str]:
        """Delete all that is kept of a user; returns the ids of the conversations that there were.

        An API key's holder includes the users that its requests named.
        """
        with self.engine.begin() as connection:
            gone = list(connection.scalars(select(conversations.c.id).where(_belongs(user))))
            connection.execute(delete(conversations).where(_belongs(user)))
        if self.is_sqlite:  # the log of writes still has the text
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def users(self) -> dict[str, int]:
        """Number of conversations by user."""
        c = conversations.c
        query = select(c.user, func.count()).group_by(c.user).order_by(c.user)
        with self.engine.connect() as connection:
            return {row.user: row[1] for row in connection.execute(query)}


def _belongs(user: str) -> ColumnElement[bool]:
    """A key's holder, with the users that its requests named; or one of those, whose name may have slashes in it."""
    c, user = conversations.c, storable(user)
    if "/" in user:
        return c.user == user
    return or_(c.user == user, c.user.startswith(f"{user}/", autoescape=True))


def _row(turn: TurnRecord) -> dict[str, Any]:
    return {**asdict(turn), "text": storable(turn.text), "alternatives": list(turn.alternatives)}


def _turns_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    said: dict[str, list[Row[Any]]] = {name: [] for name in ids}
    query = select(turns).where(turns.c.conversation.in_(ids)).order_by(turns.c.conversation, turns.c.position)
    for row in connection.execute(query):
        said[row.conversation].append(row)
    return said


def _setups_of(connection: Connection, rows: Iterable[Row[Any]]) -> dict[str, Any]:
    query = select(setups).where(setups.c.digest.in_({row.setup for row in rows if row.setup}))
    return {row.digest: row.content for row in connection.execute(query)}


def _episode(conversation: Row[Any], rows: Sequence[Row[Any]], known: dict[str, Any]) -> Episode:
    used = {row.setup: known.get(row.setup, {}) for row in rows if row.setup}
    first: dict[str, Any] = next(iter(used.values()), {})
    system = "\n\n".join(filter(None, (first.get("system", ""), conversation.system)))
    roles: dict[str, dict[str, Any]] = {
        "assistant": {"name": first.get("purpose", ""), "model": first.get("model", ""), "system": system},
        "user": {"name": conversation.user, "system": ""},
    }
    episode = Episode(id=conversation.id, kind="served", seed=0, roles=roles)
    episode.metadata = {
        "user": conversation.user,
        "parent": conversation.parent,
        "created": conversation.created,
        "updated": conversation.updated,
        "setups": used,
    }
    for row in rows:
        roles.setdefault(row.role, {"name": conversation.user, "system": ""})
        round_ = max(1, sum(turn.role == "user" for turn in episode.turns) + (row.role == "user"))
        episode.turns.append(_turn(row, round_))
    return episode


def _turn(row: Row[Any], round_: int) -> Turn:
    origin = {"time": row.time}
    if row.role == "assistant":
        origin |= {"setup": row.setup, "logprob": row.logprob, "cached_tokens": row.cached_tokens}
    more = {"planner": row.planner, "sampling": row.sampling, "alternatives": row.alternatives}
    return Turn(
        role=row.role,
        round=round_,
        text=row.text,
        finish=row.finish,
        tokens=row.tokens,
        prompt_tokens=row.prompt_tokens,
        readings=row.readings,
        origin={**origin, **{key: value for key, value in more.items() if value}},
    )
