"""Stored conversations as episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from telic.episodes import Episode
from telic.server.annotations import feedback_by_turn, probe_branches_by_conversation
from telic.server.records import ToolRecord
from telic.server.reported_events import events_by_conversation
from telic.server.stored_rows import setups_by_digest, turns_by_conversation

__all__ = ["episodes_of"]


def episodes_of(connection: Connection, conversations: Sequence[Row[Any]]) -> list[Episode]:
    """Read the turns and annotations of conversations.

    Args:
        connection: to the store.
        conversations: rows of the table `conversations`.

    Returns:
        An episode for each of them, in the same order.
    """
    ids = [row.id for row in conversations]
    turn_rows = turns_by_conversation(connection, ids)
    setup_contents = setups_by_digest(connection, (row for rows in turn_rows.values() for row in rows))
    feedback = feedback_by_turn(connection, ids)
    reported = events_by_conversation(connection, ids, turn_rows)
    probe_branches = probe_branches_by_conversation(connection, ids)
    episodes = []
    for row in conversations:
        episode = _episode(row, turn_rows[row.id], setup_contents)
        episode.branches = [branch for _, branch in probe_branches.get(row.id, ())]
        for turn_row in turn_rows[row.id]:
            episode.feedback += feedback.get((row.id, turn_row.position), ())
        episode.feedback += reported.get(row.id, ())
        episodes.append(episode)
    return episodes


def _episode(conversation: Row[Any], turn_rows: Sequence[Row[Any]], setup_contents: dict[str, Any]) -> Episode:
    used = {row.setup: setup_contents.get(row.setup, {}) for row in turn_rows if row.setup}
    first: dict[str, Any] = next(iter(used.values()), {})
    system = "\n\n".join(filter(None, (first.get("system", ""), conversation.system)))
    user = conversation.user
    roles: dict[str, dict[str, Any]] = {
        "assistant": {"name": first.get("purpose", ""), "model": first.get("model", ""), "system": system},
        "user": {"name": user, "system": ""},
    }
    rounds, turns = 0, []
    for row in turn_rows:
        role = row.role
        if role not in roles:
            roles[role] = {"name": user, "system": ""}
        rounds += role == "user"
        turns.append(_turn(row, max(1, rounds)))
    metadata = {
        "user": user,
        "parent": conversation.parent,
        "created": conversation.created,
        "updated": conversation.updated,
        "setups": used,
    }
    # One call checks the episode with its turns, which takes half as long as one for each.
    document = {"id": conversation.id, "kind": "served", "seed": 0, "roles": roles, "turns": turns}
    return Episode.model_validate({**document, "metadata": metadata})


def _turn(row: Row[Any], round_: int) -> dict[str, Any]:
    origin = {"time": row.time}
    if row.role == "assistant":
        origin |= {"setup": row.setup, "logprob": row.logprob, "cached_tokens": row.cached_tokens}
    if row.planner:
        origin["planner"] = row.planner
    if row.sampling:
        origin["sampling"] = row.sampling
    if row.alternatives:
        origin["alternatives"] = row.alternatives
    if row.defences:
        origin["defences"] = row.defences
    turn = {
        "role": row.role,
        "round": round_,
        "text": row.text,
        "finish": row.finish,
        "tokens": row.tokens,
        "prompt_tokens": row.prompt_tokens,
        "readings": row.readings,
        "origin": origin,
    }
    if row.tools:
        tools = ToolRecord.model_validate(row.tools)
        turn |= {"steps": list(tools.steps), "tool_calls": tools.calls, "tool_call_id": tools.call_id}
    return turn
