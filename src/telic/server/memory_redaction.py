"""Removing what was forgotten from a user's conversations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Table, or_, select, update

from telic.dialogue import ToolCall
from telic.memory import FORGOTTEN, ForgetPlan
from telic.memory.words import mention
from telic.server.records import ToolRecord
from telic.server.tables import conversations, events, feedback, probe_branches_table, turns

__all__ = ["matcher", "redact_conversations", "redacted_value"]


def matcher(phrases: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for any of some phrases, in any spacing and case; None if there are none."""
    patterns = [mention(phrase) for phrase in phrases]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def redacted_value(value: Any, phrase: re.Pattern[str]) -> Any:
    """Return JSON types without the phrases in their texts."""
    if isinstance(value, str):
        return phrase.sub(FORGOTTEN, value)
    if isinstance(value, dict):
        return {redacted_value(key, phrase): redacted_value(item, phrase) for key, item in value.items()}
    return [redacted_value(item, phrase) for item in value] if isinstance(value, list) else value


def redact_conversations(connection: Connection, user: str, plan: ForgetPlan) -> None:
    """Remove the texts of a plan from all conversations of exactly this user.

    A message that was evidence loses what its event loses, in every branch that copied it; elsewhere the phrases go.
    """
    own = select(conversations.c.id).where(conversations.c.user == user).scalar_subquery()
    phrase = matcher(plan.phrases)
    texts = _texts_by_digest(connection, user, plan)
    key = (turns.c.conversation, turns.c.position)
    query = select(*key, turns.c.digest, turns.c.tools).where(turns.c.conversation.in_(own))
    for row in connection.execute(query).all():
        if row.digest in texts:
            where = (turns.c.conversation == row.conversation, turns.c.position == row.position)
            tools = _redacted_tools(row.tools, _forgotten)
            values: dict[str, Any] = {"text": texts[row.digest], "alternatives": [], "defences": None, "tools": tools}
            connection.execute(update(turns).where(*where).values(values))
    if plan.everything:  # an edit is the user's own text, and no message of the dialogue
        edited = (turns.c.conversation.in_(own), turns.c.finish == "edited")
        connection.execute(update(turns).where(*edited).values(text=FORGOTTEN, alternatives=[]))
        edits = (feedback.c.conversation.in_(own), feedback.c.kind == "edit")
        connection.execute(update(feedback).where(*edits).values(value=FORGOTTEN))
        _redact_tools(connection, own, _forgotten)
    if phrase is None:
        return
    _redact_tools(connection, own, lambda text: _redacted_text(text, phrase))
    _redact(
        connection,
        turns,
        ("text", "alternatives", "defences", "planner", "readings"),
        turns.c.conversation.in_(own),
        phrase,
    )
    _redact(connection, conversations, ("system",), conversations.c.user == user, phrase)
    _redact(connection, feedback, ("value",), feedback.c.conversation.in_(own), phrase)
    _redact(connection, probe_branches_table, ("content",), probe_branches_table.c.conversation.in_(own), phrase)
    _redact(connection, events, ("content",), events.c.conversation.in_(own), phrase)


def _redact_tools(connection: Connection, own: Any, redact: Callable[[str], str]) -> None:
    """Redact the calls of tools and their results in conversations. No memory logs them, so no event names them."""
    key = (turns.c.conversation, turns.c.position)
    used = or_(turns.c.tools.is_not(None), turns.c.role == "tool")
    for row in connection.execute(select(*key, turns.c.role, turns.c.text, turns.c.tools).where(key[0].in_(own), used)):
        values: dict[str, Any] = {"tools": _redacted_tools(row.tools, redact)}
        if row.role == "tool":
            values["text"] = redact(row.text)
        where = (turns.c.conversation == row.conversation, turns.c.position == row.position)
        connection.execute(update(turns).where(*where).values(values))


def _redacted_tools(stored: Any, redact: Callable[[str], str]) -> Any:
    """Redact the arguments and results of a stored `ToolRecord`; which tools were called stays."""
    if stored is None:
        return None
    record = ToolRecord.model_validate(stored)

    def redacted(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
        return tuple(call.model_copy(update={"arguments": redact(call.arguments)}) for call in calls)

    steps = tuple(
        step.model_copy(update={"content": redact(step.content), "tool_calls": redacted(step.tool_calls)})
        for step in record.steps
    )
    return record.model_copy(update={"calls": redacted(record.calls), "steps": steps}).as_json()


def _redacted_text(text: str, phrase: re.Pattern[str]) -> str:
    """Redact a text. If it is JSON, it stays JSON: its texts may be written with escapes, and numbers are words too."""

    def number(digits: str) -> Any:
        return FORGOTTEN if phrase.search(digits) else json.loads(digits)

    try:
        given = json.loads(text)
        value = redacted_value(json.loads(text, parse_int=number, parse_float=number), phrase)
        return text if value == given else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return phrase.sub(FORGOTTEN, text)


def _forgotten(text: str) -> str:
    return FORGOTTEN if text else ""


def _texts_by_digest(connection: Connection, user: str, plan: ForgetPlan) -> dict[str, str]:
    """Return what is left of the turns that the plan's events were logged from, by their digests."""
    found = {}
    for event, text in {**dict.fromkeys(plan.events, FORGOTTEN), **plan.rewritten}.items():
        conversation, _, position = event.rpartition(":")
        if conversation and position.isdecimal():
            query = select(turns.c.digest).join_from(turns, conversations)
            query = query.where(
                conversations.c.user == user, turns.c.conversation == conversation, turns.c.position == int(position)
            )
            found.update(dict.fromkeys(connection.scalars(query), text))
    return found


def _redact(connection: Connection, table: Table, columns: Iterable[str], where: Any, phrase: re.Pattern[str]) -> None:
    key = list(table.primary_key.columns)
    names = list(columns)
    for row in connection.execute(select(*key, *(table.c[name] for name in names)).where(where)).all():
        old = {name: getattr(row, name) for name in names}
        new = {name: redacted_value(value, phrase) for name, value in old.items()}
        if new != old:
            own = [column == getattr(row, column.name) for column in key]
            connection.execute(update(table).where(*own).values({n: v for n, v in new.items() if v != old[n]}))
