"""The evidence logs of all users in the store's database: appending, reading, forgetting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, Engine, Row, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from telic.memory import ForgetPlan, MemoryEvent
from telic.server.history import storable
from telic.server.memory_redaction import matcher, redact_conversations, redacted_value
from telic.server.records import NewTurns
from telic.server.stored_users import belongs_to
from telic.server.tables import memories, memory_events

__all__ = ["LoggedEvents", "MemoryLogs", "append_to_log", "delete_logs", "events_of", "mark_changed"]


@dataclass(frozen=True, slots=True)
class LoggedEvents:
    """Events of a log, from some place on."""

    revision: str
    """Changes when events are removed or lose their text: then the log has to be read anew."""
    last: int
    """Place of the last event."""
    events: Sequence[MemoryEvent]


def events_of(new: NewTurns) -> list[MemoryEvent]:
    """Return what the memory learns from new turns: what the user said since the last reply, and the reply.

    Earlier turns that a client sends along are a copy of something: they are not said now, and perhaps not by the user.
    """
    start = 0
    for index, turn in enumerate(new.turns[:-1] if new.turns and new.turns[-1].finish != "given" else new.turns):
        if turn.role == "assistant":
            start = index + 1
    found = []
    for index, turn in enumerate(new.turns[start:], start=new.start + start):
        if turn.role in ("user", "assistant") and turn.text and turn.finish != "edited":
            speaker = "user" if turn.role == "user" else "assistant"
            name = f"{new.conversation}:{index}"
            found.append(MemoryEvent(name, turn.time, "message", new.conversation, speaker, turn.text))  # type: ignore[arg-type]
    return found


def append_to_log(
    connection: Connection, user: str, purpose: str, events: Iterable[MemoryEvent], conversation: str | None = None
) -> None:
    """Append events in a transaction; one that the log has is left as it is."""
    rows = [_row(user, purpose, event, conversation) for event in events]
    if not rows:
        return
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    own = {"user": user, "purpose": purpose, "revision": uuid4().hex}
    made = upsert(memories).values(own)
    # The update locks the row: the events of one user are committed in the order of their numbers.
    key = [memories.c.user, memories.c.purpose]
    connection.execute(made.on_conflict_do_update(index_elements=key, set_={"revision": memories.c.revision}))
    connection.execute(upsert(memory_events).on_conflict_do_nothing(), rows)


def delete_logs(connection: Connection, user: str) -> None:
    """Delete the logs of a user; the holder of an API key includes the users that its requests named."""
    connection.execute(delete(memory_events).where(belongs_to(user, memory_events.c.user)))
    connection.execute(delete(memories).where(belongs_to(user, memories.c.user)))


def mark_changed(connection: Connection, user: str) -> None:
    """Say that events of a user were removed, so that every server reads the logs anew."""
    connection.execute(update(memories).where(memories.c.user == user).values(revision=uuid4().hex))


class MemoryLogs:
    """The evidence logs in a store.

    Args:
        engine: the database of the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, user: str, purpose: str, events: Iterable[MemoryEvent], conversation: str | None = None) -> None:
        """Append events; they are on disk when this returns. Those of a conversation are deleted with it."""
        with self._engine.begin() as connection:
            append_to_log(connection, user, purpose, events, conversation)

    def read(self, user: str, purpose: str, revision: str = "", after: int = 0) -> LoggedEvents:
        """Read a log.

        Args:
            user: whose.
            purpose: of which purpose.
            revision: what was read before; if the log has another revision by now, all of it is returned.
            after: place of the last event that was read before.
        """
        e, m = memory_events.c, memories.c
        with self._engine.connect() as connection:
            current = connection.scalar(select(m.revision).where(m.user == user, m.purpose == purpose)) or ""
            first = after if current == revision else 0
            query = select(memory_events).where(e.user == user, e.purpose == purpose, e.sequence > first)
            rows = connection.execute(query.order_by(e.sequence)).all()
        last = rows[-1].sequence if rows else first
        return LoggedEvents(current, last, [_event(row) for row in rows])

    def users(self, purpose: str) -> dict[str, int]:
        """Count the events of each user of a purpose."""
        e = memory_events.c
        query = select(e.user, func.count()).where(e.purpose == purpose).group_by(e.user).order_by(e.user)
        with self._engine.connect() as connection:
            return {row.user: row[1] for row in connection.execute(query)}

    def forget(self, user: str, purpose: str, plan: ForgetPlan, tombstone: MemoryEvent) -> None:
        """Remove the texts of a plan from the user's logs and conversations, and append the tombstone.

        Also where another purpose, a branch, an alternative reply or an annotation has the same words.
        """
        with self._engine.begin() as connection:
            if plan.everything:
                redact_conversations(connection, user, plan)
                own = (memory_events.c.user == user, memory_events.c.purpose == purpose)
                connection.execute(delete(memory_events).where(*own))
            else:
                self._remove_texts(connection, user, plan)
                redact_conversations(connection, user, plan)
                append_to_log(connection, user, purpose, [tombstone])
            mark_changed(connection, user)

    def _remove_texts(self, connection: Connection, user: str, plan: ForgetPlan) -> None:
        e, named, phrase = memory_events.c, set(plan.events), matcher(plan.phrases)
        query = select(e.sequence, e.id, e.text, e.data).where(e.user == user)
        for row in connection.execute(query).all():
            mentioned = phrase is not None and (phrase.search(row.text) or redacted_value(row.data, phrase) != row.data)
            if row.id in plan.rewritten:
                values: dict[str, object] = {"text": plan.rewritten[row.id]}
            elif row.id in named or mentioned:
                values = {"text": "", "data": {"forgotten": True}}
            else:
                continue
            connection.execute(update(memory_events).where(e.sequence == row.sequence).values(values))


def _row(user: str, purpose: str, event: MemoryEvent, conversation: str | None) -> dict[str, object]:
    return {
        "user": user, "purpose": purpose, "id": event.id, "conversation": conversation, "time": event.time,
        "kind": event.kind, "source": event.source, "speaker": event.speaker, "text": storable(event.text),
        "data": dict(event.data),
    }  # fmt: skip


def _event(row: Row[tuple[object, ...]]) -> MemoryEvent:
    return MemoryEvent(row.id, row.time, row.kind, row.source, row.speaker, row.text, row.data)
