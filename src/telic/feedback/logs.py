"""Logs of anybody's chatbot as episodes: lines of OpenAI's chat messages, ShareGPT, or Telic's own episodes.

A record may say more than the messages: `id`, `user`, `model`, and when it was made (`created`, `time` or `timestamp`,
in seconds since 1970); a message may have its time too. Where each line has the whole history so far, as a log of
requests does, a line with which a longer one of the same user begins is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.dialogue import Dialogue
from telic.episodes import Episode, EpisodeStore, Turn
from telic.errors import DataError
from telic.formats import read_whole_records

__all__ = ["LogFile"]

_TIMES = ("created", "time", "timestamp")


@dataclass(frozen=True)
class LogFile:
    """A file of conversations, which can be read more than once.

    Raises:
        DataError: on iteration, if the file cannot be read or holds what is no conversation.
    """

    path: str | Path

    def __iter__(self) -> Iterator[Episode]:
        """Yield an episode for each conversation, in the order of the file."""
        path = Path(self.path)
        if _holds_episodes(path):
            yield from EpisodeStore(path)
        else:
            yield from _episodes(path)


def _holds_episodes(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            first = json.loads(next((line for line in file if line.strip()), "null"))
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError:  # reading it as dialogues says what is wrong
        return False
    return isinstance(first, dict) and {"roles", "turns"} <= first.keys()


def _episodes(path: Path) -> Iterator[Episode]:
    for number, record, dialogue in read_whole_records(path)[0]:
        yield _episode(record, dialogue, str(record.get("id") or f"{path.name}:{number}"))


def _episode(record: Mapping[str, Any], dialogue: Dialogue, name: str) -> Episode:
    user, model = str(record.get("user") or ""), str(record.get("model") or "")
    created = _time(record)
    given = record.get("messages") or record.get("conversations") or ()
    times = [_time(message) for message in given if isinstance(message, dict)] if isinstance(given, list) else []
    offset = len(dialogue) - len(times)  # a system prompt beside the messages
    turns: list[Turn] = []
    rounds = 0
    for index, message in enumerate(dialogue):
        if message.role == "system" and index == 0:
            continue
        rounds += message.role == "user"
        place = index - offset
        origin: dict[str, Any] = {"setup": model} if message.role == "assistant" and model else {}
        time = times[place] if 0 <= place < len(times) else None
        if time is not None:
            origin["time"] = time
        turn = Turn(role=message.role, round=max(1, rounds), text=message.content, finish="given", origin=origin)
        turn.tool_calls, turn.tool_call_id = message.tool_calls, message.tool_call_id
        turns.append(turn)
    roles: dict[str, dict[str, Any]] = {"assistant": {"model": model, "system": dialogue.system or ""}}
    for turn in turns:
        roles.setdefault(turn.role, {"name": user, "system": ""})
    metadata = {"user": user, "created": created, "setups": {model: {"model": model}} if model else {}}
    return Episode(id=name, kind="log", seed=0, roles=roles, turns=turns, metadata=metadata)


def _time(record: Mapping[str, Any]) -> float | None:
    for key in _TIMES:
        value = record.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
    return None
