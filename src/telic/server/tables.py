"""The tables of the conversation store. A change here needs a migration (`migrations/versions`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "canary_observations",
    "consents",
    "conversations",
    "deleted_conversations",
    "events",
    "feedback",
    "memories",
    "memory_events",
    "metadata",
    "probe_branches_table",
    "setups",
    "turns",
]

metadata = MetaData()

setups = Table(
    "setups",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", JSON, nullable=False),  # purpose, system prompt, model, controls (with the planner)
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user", String(300), nullable=False),
    Column("parent", String(36)),  # the conversation that it branched off from; may be deleted
    Column("system", Text, nullable=False),  # the client's own system message
    Column("length", Integer, nullable=False),  # number of turns
    Column("created", Float, nullable=False),  # seconds since 1970
    Column("updated", Float, nullable=False),
    Column("last_digest", String(64)),  # digest of the last turn
    Index("ix_conversations_user", "user", "created"),
    Index("ix_conversations_last_digest", "last_digest", "updated"),
    Index("ix_conversations_updated", "user", "updated"),
)

turns = Table(
    "turns",
    metadata,
    Column("conversation", String(36), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),  # of the user and all messages up to and including this turn
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("finish", String(16), nullable=False),
    Column("time", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("setup", String(64), ForeignKey("setups.digest")),
    Column("logprob", Float),  # of the whole reply
    Column("planner", JSON, nullable=False),  # its choice before the reply, with the log-probability
    Column("readings", JSON, nullable=False),
    Column("sampling", JSON, nullable=False),
    Column("alternatives", JSON, nullable=False),  # the other choices of a request with n > 1
    Column("defences", JSON(none_as_null=True)),  # what the defences did; NULL if nothing
    Column("tools", JSON(none_as_null=True)),  # calls of tools, and results (`ToolRecord`); NULL if there are none
    Index("ix_turns_digest", "digest", "role"),
)


def _annotation_columns() -> list[Column[Any]]:
    """Make the columns that every annotation of a turn has."""
    return [
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("conversation", String(36), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        Column("position", Integer, nullable=False),
        Column("time", Float, nullable=False),
    ]


feedback = Table(
    "feedback",
    metadata,
    *_annotation_columns(),
    Column("kind", String(16), nullable=False),  # thumb, edit, preferred
    Column("value", JSON, nullable=False),
    Index("ix_feedback_turn", "conversation", "position"),
)

probe_branches_table = Table(
    "branches",
    metadata,
    *_annotation_columns(),
    Column("content", JSON, nullable=False),  # a probe's question, with its answers and scores
    Index("ix_branches_turn", "conversation", "position"),
)

events = Table(
    "events",
    metadata,
    Column("owner", String(300), primary_key=True),  # the holder of the key that reported it
    Column("id", String(200), primary_key=True),  # its sender's own
    Column("conversation", String(36), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer),  # the reply that it is about; null: the conversation
    Column("time", Float, nullable=False),
    Column("content", JSON, nullable=False),  # kind, reward, value
    Index("ix_events_conversation", "conversation", "time"),
)

consents = Table(
    "consents",
    metadata,
    Column("user", String(300), primary_key=True),  # the holder of a key, or one of its users
    Column("learn", Boolean, nullable=False),  # whether their conversations may be learnt from
    Column("time", Float, nullable=False),
)

deleted_conversations = Table(  # so that what was derived from them can be marked
    "deleted_conversations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("time", Float, nullable=False),
)

canary_observations = Table(
    "canary_observations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the order in which they came
    Column("canary", String(64), nullable=False),
    Column("user", String(300), nullable=False),  # a random name once the user was deleted
    Column("version", String(32), nullable=False),
    Column("time", Float, nullable=False),
    Column("satisfaction", Float),  # null: a conversation that does not count
    Index("ix_canary_observations_user", "canary", "user", unique=True),
)

memories = Table(
    "memories",
    metadata,
    Column("user", String(300), primary_key=True),
    Column("purpose", String(200), primary_key=True),
    Column("revision", String(32), nullable=False),  # changes when events are removed or lose their text
)

memory_events = Table(
    "memory_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),  # the order of the log
    Column("user", String(300), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("id", String(200), nullable=False),
    Column("conversation", String(36), ForeignKey("conversations.id", ondelete="CASCADE")),  # null: said elsewhere
    Column("time", Float, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("source", String(200), nullable=False),
    Column("speaker", String(16), nullable=False),
    Column("text", Text, nullable=False),  # empty once it was forgotten
    Column("data", JSON, nullable=False),
    UniqueConstraint("user", "purpose", "id", name="uq_memory_events_id"),
    Index("ix_memory_events_log", "user", "purpose", "sequence"),
    Index("ix_memory_events_conversation", "conversation"),
)
