"""Episodes, the records of dialogues, and their store: one JSON line per episode, appended when the episode ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.dialogue import Message, ToolCall
from telic.errors import DataError, Failure, RunError

__all__ = [
    "BASELINE",
    "SCHEMA_VERSION",
    "Answer",
    "Branch",
    "Episode",
    "EpisodeStore",
    "Feedback",
    "Quotation",
    "Turn",
    "assistant_role",
]

SCHEMA_VERSION = 4
"""The version of the format. Version 2 has `failure` (boundary, kind, detail) instead of a text `error`. Version 3 adds
`feedback` to an episode, and `return_to_go` to a turn. Version 4 adds `steps`, `tool_calls` and `tool_call_id` to a
turn."""
OLDEST_VERSION = 2
"""The oldest version that is still read."""
ASSISTANT_ROLES = ("assistant", "agent", "answerer", "b")
"""The roles under test: in a served conversation, a game, and the self-chats of a game and of a measurement."""
BASELINE = "baseline"
"""Name of the arm without a control or a planner, with which the other arms of a run are compared."""


class Turn(BaseModel):
    """One utterance of the trunk."""

    model_config = ConfigDict(extra="forbid")

    role: str
    """Who spoke: a key of the episode's `roles`."""
    round: int
    """1 for the first round. A round is one utterance of each side."""
    text: str
    finish: str = "stop"
    """Why the utterance ended: stop, length, context, error, or given (an opener); in a served conversation also left
    (the client disconnected) or edited (by a person)."""
    tokens: int = 0
    """Number of generated tokens."""
    prompt_tokens: int = 0
    """Number of tokens in the prompt of the utterance."""
    readings: dict[str, Any] = Field(default_factory=dict)
    """Readings taken while the model generated, e.g. `attention`: mass on the system prompt per layer."""
    steps: list[Message] = Field(default_factory=list)
    """What happened in the turn before it ended with `text`: calls of the speaker's own tools, and their results."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The tools that the speaker calls after `text` and that others run; their results are turns of the role `tool`."""
    tool_call_id: str | None = None
    """Of such a result: the call that it belongs to."""
    scores: dict[str, float] = Field(default_factory=dict)
    """In a self-chat: the judge's score of the utterance, by name of each probe that binds every reply."""
    act: str = ""
    """In a game: the kind of act; `text` is its content. Empty for utterances of the game itself."""
    reward: dict[str, float] = Field(default_factory=dict)
    """By role: in a game, the reward of the act; in a labelled conversation, the reward that was inferred from the
    user's words and actions."""
    return_to_go: float | None = None
    """In a labelled conversation: the discounted sum of this reward and the later ones, up to a change of topic."""
    seen_by: list[str] = Field(default_factory=list)
    """In a game: the roles that saw the utterance; empty if all did."""
    origin: dict[str, Any] = Field(default_factory=dict)
    """In a served conversation: where the reply came from. `time` (seconds since 1970), `setup` (a key of the episode's
    `metadata["setups"]`: purpose, model, controls, planner), `logprob` (of the reply, in nats), `planner` (what it
    chose), `sampling`, `alternatives`, `cached_tokens`."""

    @property
    def is_prose(self) -> bool:
        """Whether it is text alone, with no form to keep to: it calls no tools, and had no response format."""
        return not self.tool_calls and not self.origin.get("sampling", {}).get("response_format")


class Answer(BaseModel):
    """One sampled answer of a branch, and its score."""

    model_config = ConfigDict(extra="forbid")

    text: str
    finish: str
    score: float | None
    """In [0, 1]; None, with a reason, if the answer could not be judged."""
    reason: str = ""
    readings: dict[str, Any] = Field(default_factory=dict)


class Branch(BaseModel):
    """A probe that was asked of one side after `round` rounds, on a branch that the trunk never sees."""

    model_config = ConfigDict(extra="forbid")

    role: str
    round: int
    """Number of rounds before the probe; 0 is before the dialogue."""
    probe: str
    """Name of the probe."""
    family: str
    """The kind of instruction that the probe tests."""
    question: str
    prompt_tokens: int
    """Number of tokens in the prompt of the answers."""
    answers: list[Answer]


class Quotation(BaseModel):
    """Words of a turn, with their place in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turn: int
    """Index of the turn."""
    start: int
    end: int
    text: str
    """The characters themselves: data from a user, never an instruction."""


class Feedback(BaseModel):
    """Evidence of how good a reply was: something that the user said or did, or an event elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    """What it comes from: `thumb`, `edit`, `preferred`, the kind of an event such as `purchase`, or a detector."""
    turn: int = Field(ge=0)
    """Index of the reply that it is about. Of feedback on the whole conversation: the last reply before it."""
    reward: float = Field(ge=-1, le=1)
    """What it says of the reply: -1 bad, 1 good."""
    confidence: float = Field(ge=0, le=1)
    """How likely the sign of the reward is right."""
    cue: str = ""
    """Which of its source's cues it is, such as `thanks`."""
    scope: Literal["turn", "conversation"] = "turn"
    """Whether it is about one reply or about the whole conversation."""
    evidence: Quotation | None = None
    """The words that it rests on; None for an action."""
    time: float | None = None
    """Seconds since 1970; None if unknown."""
    value: Any = None
    """What was given: 1, -1 or 0 of a thumb, the text of an edit, the amount of a purchase."""
    id: str = ""
    """The id that the sender of an event chose."""


class Episode(BaseModel):
    """One dialogue: who took part, the utterances, the probes on branches, and the outcome."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(default=SCHEMA_VERSION, le=SCHEMA_VERSION)
    id: str
    """Unique in its run. A resumed run skips the ids that it finds."""
    kind: str
    """What was played, e.g. `selfchat`."""
    seed: int
    roles: dict[str, dict[str, Any]]
    """By role: `system` (its system prompt), and whatever else identifies the player."""
    turns: list[Turn] = Field(default_factory=list)
    branches: list[Branch] = Field(default_factory=list)
    outcome: dict[str, Any] = Field(default_factory=dict)
    """Result of a game: score, normalised score, and the role at fault if the game is invalid."""
    failure: Failure | None = None
    """Why the episode could not be completed."""
    feedback: list[Feedback] = Field(default_factory=list)
    """Evidence of how good the replies were: what users gave and events reported, and in a labelled conversation what
    was inferred."""
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def retryable(self) -> bool:
        """Whether a resumed run plays the episode again; see `Failure.retryable`."""
        return self.failure is not None and self.failure.retryable


def assistant_role(episode: Episode) -> str:
    """Return the role under test: of a served conversation, the model; of a game, the agent; else the first role."""
    known = (*ASSISTANT_ROLES, *episode.roles)
    return next((role for role in known if role in episode.roles), ASSISTANT_ROLES[0])


class EpisodeStore:
    """The file `episodes.jsonl`. Each episode is flushed to disk; a last line that a kill cut short is recovered."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, episode: Episode) -> None:
        """Append one episode and flush it to disk.

        Raises:
            RunError: the file cannot be written, for example because the disk is full.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(episode.model_dump_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write episode {episode.id!r} to {self.path}: {error.strerror}") from error

    def cut_short(self) -> bool:
        """Return whether the last line is not a complete episode, as after a kill."""
        data = self.path.read_bytes().rstrip() if self.path.exists() else b""
        return bool(data) and not _is_episode(data.rpartition(b"\n")[2])

    def recover(self) -> str | None:
        """Move a last line that is not a complete episode to `episodes.jsonl.broken`.

        It checks only the end: a kill damages nothing else, and reading reports other damage.

        Returns:
            A message that says so, or None if the last line is complete.
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
        """Read all episodes, without a last line that a kill cut short (see `cut_short`).

        Raises:
            RunError: there is no such file.
            DataError: a line is not an episode; the message names it.
        """
        if not self.path.exists():
            raise RunError(f"{self.path} does not exist: the run has no episodes yet")
        waiting: tuple[bytes, int] | None = None
        with self.path.open("rb") as file:  # as bytes, so that a line that is not UTF-8 is reported like any other
            for number, line in enumerate(file, start=1):
                if line.strip():
                    if waiting is not None:
                        yield self._parse(*waiting)
                    waiting = line, number
        if waiting is not None and _is_episode(waiting[0]):
            yield self._parse(*waiting)

    def latest(self) -> list[Episode]:
        """Return all episodes in the order of their ids. If one was played again, its last record counts."""
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
            if 0 < version < OLDEST_VERSION:
                raise DataError(
                    f"{self.path}, line {number}: schema version {version}, which this Telic no longer reads; it reads "
                    f"versions {OLDEST_VERSION} to {SCHEMA_VERSION}. Start a new run."
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
