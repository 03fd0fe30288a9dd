"""The record of a dialogue played, and its store: one JSON line per episode, appended as it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.errors import DataError, Failure, RunError

__all__ = ["SCHEMA_VERSION", "Answer", "Branch", "Episode", "EpisodeStore", "Turn"]

SCHEMA_VERSION = 2
"""2: `failure` (boundary, kind, detail) instead of a text `error`."""


class Turn(BaseModel):
    """One utterance of the trunk."""

    model_config = ConfigDict(extra="forbid")

    role: str
    """Who spoke: a key of the episode's `roles`."""
    round: int
    """1 for the first round; one round is one utterance of each side."""
    text: str
    finish: str = "stop"
    """Why the utterance ended: stop, length, context, error, or given (an opener); in a served conversation also left
    (nobody listened any more) or edited (by a person)."""
    tokens: int = 0
    """Tokens generated."""
    prompt_tokens: int = 0
    """Tokens of the speaker's view when it started to speak."""
    readings: dict[str, Any] = Field(default_factory=dict)
    """What was read off the model, e.g. `attention`: mass on the system prompt per layer."""
    scores: dict[str, float] = Field(default_factory=dict)
    """In a self-chat: by name of a probe that binds every reply, how its judge scored the utterance."""
    act: str = ""
    """In a game: the kind of act; `text` is its content. Empty for what the game itself says."""
    reward: dict[str, float] = Field(default_factory=dict)
    """In a game: what the act earned, per role."""
    seen_by: list[str] = Field(default_factory=list)
    """In a game: the roles that saw it, where not all did."""
    origin: dict[str, Any] = Field(default_factory=dict)
    """In a served conversation: how the reply came about. `time` (seconds since 1970), `setup` (a key of the episode's
    `metadata["setups"]`: purpose, model, controls, planner), `logprob` (of the reply, in nats), `planner` (what it
    chose), `sampling`, `alternatives`, `cached_tokens`, `feedback` (thumbs, preferences and
    edits, each with its time)."""


class Answer(BaseModel):
    """One sampled answer of a branch, and its score."""

    model_config = ConfigDict(extra="forbid")

    text: str
    finish: str
    score: float | None
    """In [0, 1]; None with a reason where it could not be judged."""
    reason: str = ""
    readings: dict[str, Any] = Field(default_factory=dict)


class Branch(BaseModel):
    """A probe: asked of one side after `round` rounds, on a branch that the trunk never sees."""

    model_config = ConfigDict(extra="forbid")

    role: str
    round: int
    """Rounds played before the probe; 0 is before the dialogue."""
    probe: str
    """Name of the probe."""
    family: str
    """Kind of instruction that is probed."""
    question: str
    prompt_tokens: int
    """Tokens that the side has seen when it answers."""
    answers: list[Answer]


class Episode(BaseModel):
    """A dialogue played: who, what was said, what was asked aside, how it came out."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(default=SCHEMA_VERSION, le=SCHEMA_VERSION)
    id: str
    """Unique in its run; a resumed run skips the ids that it finds."""
    kind: str
    """What was played, e.g. `selfchat`."""
    seed: int
    roles: dict[str, dict[str, Any]]
    """By role: `system` (its system prompt) and whatever else identifies who played it."""
    turns: list[Turn] = Field(default_factory=list)
    branches: list[Branch] = Field(default_factory=list)
    outcome: dict[str, Any] = Field(default_factory=dict)
    """Result of a game: score, normalised score, who is at fault if it is invalid."""
    failure: Failure | None = None
    """Why the episode could not be completed."""
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def worth_replaying(self) -> bool:
        """Whether a resumed run plays it again: a model failed by no fault of the dialogue, or a player left."""
        return self.failure is not None and self.failure.retryable


class EpisodeStore:
    """`episodes.jsonl`: appended per episode, flushed to disk, safe against a last line cut short by a kill."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, episode: Episode) -> None:
        """Write one episode and make sure that it is on disk.

        Raises:
            RunError: the file cannot be written, as when the disk is full.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(episode.model_dump_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write episode {episode.id!r} to {self.path}: {error.strerror}") from error

    def cut_short(self) -> bool:
        """Whether the last line is not a whole episode, as after a kill."""
        data = self.path.read_bytes().rstrip() if self.path.exists() else b""
        return bool(data) and not _is_episode(data.rpartition(b"\n")[2])

    def recover(self) -> str | None:
        """Move a last line that is not a whole episode into `episodes.jsonl.broken`; say so, or return None.

        Only the end is looked at: damage elsewhere is not a kill's, and reading names it.
        """
        if not self.path.exists():
            return None
        data = self.path.read_bytes()
        if not data.strip():
            return None
        head, _, tail = data.rstrip().rpartition(b"\n")
        if _is_episode(tail):
            if not data.endswith(b"\n"):
                with self.path.open("ab") as file:
                    file.write(b"\n")
            return None
        broken = self.path.with_suffix(".jsonl.broken")
        with broken.open("ab") as file:
            file.write(tail + b"\n")
        whole = head + b"\n" if head else b""
        with self.path.open("r+b") as file:
            file.truncate(len(whole))
        return f"{self.path}: the last line was cut short; it was moved to {broken.name} and is played again"

    def __iter__(self) -> Iterator[Episode]:
        """Read all episodes; a last line that a kill cut short is left out (see `cut_short`).

        Raises:
            RunError: there is no such file.
            DataError: a line is not an episode; the message names it.
        """
        if not self.path.exists():
            raise RunError(f"{self.path} does not exist: the run has no episodes yet")
        waiting: tuple[bytes, int] | None = None
        with self.path.open("rb") as file:  # bytes: a line that is not UTF-8 is reported as any other
            for number, line in enumerate(file, start=1):
                if line.strip():
                    if waiting is not None:
                        yield self._parse(*waiting)
                    waiting = line, number
        if waiting is not None and _is_episode(waiting[0]):
            yield self._parse(*waiting)

    def latest(self) -> list[Episode]:
        """All episodes in the order of their ids; of one that was played again, the last record counts."""
        found = {episode.id: episode for episode in self}
        return [found[name] for name in sorted(found)]

    def _parse(self, line: bytes, number: int) -> Episode:
        try:
            return Episode.model_validate_json(line)
        except ValidationError as error:
            version = _version(line)  # a newer version has other fields, so this comes first
            if version > SCHEMA_VERSION:
                raise DataError(
                    f"{self.path}, line {number}: schema version {version}, this Telic reads up to "
                    f"{SCHEMA_VERSION}. Update Telic to read it."
                ) from None
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise DataError(
                f"{self.path}, line {number}: {where}: {first['msg']}. "
                "Delete the line to go on without this episode; --resume plays it again."
            ) from error


def _version(line: bytes) -> int:
    try:
        version = json.loads(line)["version"]
    except (ValueError, LookupError, TypeError):
        return 0
    return version if isinstance(version, int) else 0


def _is_episode(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
