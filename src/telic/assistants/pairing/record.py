"""What is kept of a session: an episode with the feedback of the person, and where the session stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.texts import AnsweredQuestion, Question
from telic.dialogue import Message
from telic.episodes import Episode, Feedback, Turn
from telic.errors import RunError
from telic.feedback.event_kinds import EVENT_KINDS
from telic.feedback.given import EDIT, given_feedback
from telic.files import write_atomically

__all__ = ["SESSION_FILE", "SessionRecord", "Stage"]

SESSION_FILE = "session.json"
Stage = Literal["ask", "write", "decide", "done"]
"""What comes next: a question, a patch, the person's decision, or nothing."""


class SessionRecord(BaseModel):
    """A session as far as it came. It is written after every step, so that a killed one goes on from there."""

    model_config = ConfigDict(extra="forbid")

    episode: Episode
    stage: Stage = "ask"
    exchanges: list[AnsweredQuestion] = Field(default_factory=list)
    pending: Question | None = None
    """A question without an answer."""
    patch: str = ""
    """The last patch."""
    comment: str = ""
    """What the person said of it."""
    written: int = 0
    """Number of patches."""
    steps: int = 0
    tokens: int = 0
    decision: str = ""
    """How the session ended."""

    @classmethod
    def begin(cls, issue: str, seed: int, system: str, metadata: dict[str, Any]) -> SessionRecord:
        """Begin a session with the issue."""
        roles = {"assistant": {"name": "pair", "system": system}, "user": {"name": "author", "system": ""}}
        episode = Episode(id="pair", kind="pair", seed=seed, roles=roles, metadata=metadata)
        record = cls(episode=episode)
        record.say("user", "issue", issue)
        return record

    @classmethod
    def read(cls, folder: Path) -> SessionRecord | None:
        """Read the session in a run folder; None if it had not begun.

        Raises:
            RunError: the file was damaged.
        """
        path = folder / SESSION_FILE
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            raise RunError(f"{path}: {first['msg']}. Delete the file to start the session over") from None

    def write(self, folder: Path) -> None:
        """Write the session into a run folder.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            write_atomically(folder / SESSION_FILE, self.model_dump_json())
        except OSError as error:
            raise RunError(f"cannot write {str(folder / SESSION_FILE)!r}: {error.strerror}") from None

    def say(self, role: str, act: str, text: str, messages: Sequence[Message] = (), tokens: int = 0) -> None:
        """Add a turn."""
        rounds = 1 + sum(turn.role == role for turn in self.episode.turns)
        origin = {"time": time.time(), **({"setup": "pair"} if role == "assistant" else {})}
        finish = "stop" if role == "assistant" else "given"
        turn = Turn(role=role, round=rounds, text=text, act=act, finish=finish, tokens=tokens, origin=origin)
        turn.steps = list(messages)
        self.episode.turns.append(turn)

    def tested(self, attempt: Attempt) -> None:
        """Keep what the tests said of the last patch."""
        if attempt.suite is not None:
            self._event("tests_passed" if attempt.passed else "tests_failed")

    def accepted(self) -> None:
        """Keep that the person took the last patch."""
        self._event("suggestion_accepted")

    def rejected(self, comment: str = "") -> None:
        """Keep that the person did not want the last patch, or sent it back with a comment."""
        self._event("suggestion_rejected", comment or None, 0.5 if comment else 1.0)

    def edited(self, patch: str) -> None:
        """Keep that the person changed the last patch."""
        turn = self._last_patch()
        before = self.episode.turns[turn].text
        self.episode.feedback.append(given_feedback(EDIT, patch, turn, before, time.time()))

    def _event(self, kind: str, value: str | None = None, weight: float = 1.0) -> None:
        reward, confidence = EVENT_KINDS[kind]
        turn, number = self._last_patch(), len(self.episode.feedback)
        self.episode.feedback.append(
            Feedback(
                source=kind,
                turn=turn,
                reward=weight * reward,
                confidence=confidence,
                time=time.time(),
                value=value,
                id=f"{kind}-{number}",
            )
        )

    def _last_patch(self) -> int:
        return max(index for index, turn in enumerate(self.episode.turns) if turn.act == "patch")
