"""Events that other systems report about stored conversations: a purchase, a ticket closed, tests passed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Engine, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from telic.episodes import Feedback
from telic.errors import DataError, RunError
from telic.feedback.event_kinds import EVENT_KINDS, event_meaning
from telic.registry import suggest
from telic.server.history import storable
from telic.server.stored_users import belongs_to
from telic.server.tables import conversations, events, turns

__all__ = ["EventConflictError", "EventReport", "ReportedEvents", "events_by_conversation"]

Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Note = Annotated[str, Field(max_length=1000), AfterValidator(storable)]
Number = Annotated[float, Field(allow_inf_nan=False)]
ROW_FIELDS = frozenset({"id", "conversation", "turn", "time"})


class EventConflictError(RunError):
    """Another event was reported under the same id."""


class EventReport(BaseModel):
    """An event, as another system reports it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    """The sender's own: an event that is reported again under its id is stored once."""
    conversation: Text
    """Id of the conversation, from the header `X-Telic-Conversation` of its responses."""
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """What happened: one of `EVENT_KINDS`, or any other name together with `reward`."""
    turn: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    """Index of the reply that it is about, among all messages of the conversation without system messages. By default
    the event is about the conversation so far."""
    reward: Annotated[float, Field(ge=-1, le=1)] | None = None
    """What it says of the reply; by default what its kind says."""
    value: bool | Number | Note | None = None
    """An amount or a note, which is stored and exported with it."""
    time: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """When it happened, in seconds since 1970; by default when it is reported."""

    @classmethod
    def parse(cls, body: bytes) -> EventReport:
        """Read a report from JSON.

        Raises:
            DataError: it is no report; the message names the field.
        """
        try:
            report = cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise DataError(f"{field}: {first['msg']}") from None
        if event_meaning(report.kind, report.reward) is None:
            known = suggest(report.kind, list(EVENT_KINDS))
            raise DataError(f"kind: unknown event {report.kind!r}{known}; an event of your own needs a reward")
        return report

    def content(self) -> dict[str, Any]:
        """Return what a row holds besides its columns."""
        return {name: value for name, value in self.model_dump().items() if name not in ROW_FIELDS}


class ReportedEvents:
    """The events in a store.

    Args:
        engine: the database of the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, owner: str, report: EventReport) -> Literal["stored", "known"]:
        """Store an event in one transaction; it is on disk when this returns.

        Args:
            owner: who reports it: it may be about conversations of this holder of a key, and of its users.
            report: the event.

        Returns:
            Whether it is new; `known` if the same event was reported before.

        Raises:
            RunError: the holder has no such conversation, or the conversation no such reply.
            EventConflictError: another event was reported under the same id.
        """
        row = {
            "owner": owner,
            "id": report.id,
            "conversation": report.conversation,
            "position": report.turn,
            "time": time.time() if report.time is None else report.time,
            "content": report.content(),
        }
        upsert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        with self._engine.begin() as connection:
            _require_reply(connection, owner, report)
            query = upsert(events).values(row).on_conflict_do_nothing().returning(events.c.id)
            if connection.execute(query).first() is not None:
                return "stored"
            same = (events.c.owner == owner, events.c.id == report.id)
            known = connection.execute(select(events).where(*same)).one()
        if _is_same(known, report):
            return "known"
        raise EventConflictError(f"another event was reported as {report.id!r}; an id names one event")


def events_by_conversation(
    connection: Connection, ids: Sequence[str], turn_rows: Mapping[str, Sequence[Row[Any]]]
) -> dict[str, list[Feedback]]:
    """Read the events of conversations as feedback, in the order of their time.

    An event on a whole conversation is about the last reply before it.
    """
    found: dict[str, list[Feedback]] = {}
    query = select(events).where(events.c.conversation.in_(ids)).order_by(events.c.time, events.c.id)
    for row in connection.execute(query):
        turn = _target(row, turn_rows[row.conversation])
        meaning = event_meaning(row.content["kind"], row.content["reward"])
        if turn is None or meaning is None:
            continue
        reward, confidence = meaning
        found.setdefault(row.conversation, []).append(
            Feedback(
                source=row.content["kind"], turn=turn, reward=reward, confidence=confidence,
                scope="conversation" if row.position is None else "turn", time=row.time, value=row.content["value"],
                id=row.id,
            )
        )  # fmt: skip
    return found


def _target(event: Row[Any], rows: Sequence[Row[Any]]) -> int | None:
    if event.position is not None:
        return int(event.position)
    replies = [row for row in rows if row.role == "assistant"]
    before = [row.position for row in replies if row.time <= event.time]
    return int(before[-1]) if before else int(replies[0].position) if replies else None


def _require_reply(connection: Connection, owner: str, report: EventReport) -> None:
    query = select(turns.c.position).join_from(turns, conversations)
    query = query.where(
        conversations.c.id == report.conversation, belongs_to(owner), turns.c.role == "assistant"
    ).limit(1)
    if report.turn is not None:
        query = query.where(turns.c.position == report.turn)
    if connection.execute(query).first() is None:
        what = "no reply" if report.turn is None else f"no reply with the index {report.turn}"
        raise RunError(f"there is {what} in conversation {report.conversation!r} of this key's holder")


def _is_same(row: Row[Any], report: EventReport) -> bool:
    return (
        (row.conversation, row.position) == (report.conversation, report.turn)
        and row.content == report.content()
        and (report.time is None or row.time == report.time)
    )
