"""Dialogues for the tests: `dialogue("Hello", "Hi!")`, the user first."""

from __future__ import annotations

from typing import Any

from telic.episodes import Episode, Feedback, Turn
from telic.feedback.conversation import Conversation

START = 1_790_000_000.0


def dialogue(*said: str, seconds: float | None = 20.0, name: str = "c1", user: str = "ann", **fields: Any) -> Episode:
    """An episode in which the user begins; `seconds` pass between turns, None if the times are unknown."""
    turns = []
    for place, text in enumerate(said):
        origin = {} if seconds is None else {"time": START + seconds * place}
        role = "user" if place % 2 == 0 else "assistant"
        turns.append(Turn(role=role, round=place // 2 + 1, text=text, finish="stop", origin=origin))
    roles: dict[str, dict[str, Any]] = {"assistant": {"system": "You are Mia."}, "user": {}}
    metadata = {"user": user, **fields.pop("metadata", {})}
    return Episode(id=name, kind="served", seed=0, roles=roles, turns=turns, metadata=metadata, **fields)


def talk(*said: str, usual: float | None = None, is_open: bool = False, **options: Any) -> Conversation:
    return Conversation(dialogue(*said, **options), usual, is_open)


def given(source: str = "thumb", turn: int = 1, reward: float = 1.0, **fields: Any) -> Feedback:
    values: dict[str, Any] = {"confidence": 0.95, "time": START + 100.0, **fields}
    return Feedback(source=source, turn=turn, reward=reward, **values)
