"""A session on an issue, live: what it shows, and what its person answers elsewhere, in two files of its run folder.

The session writes `live.json` after every step. A page, such as the dashboard's, shows it, and puts the person's answer
into `answer.json`. The page touches nothing else: only the session changes a repository, and only when the person
accepts. Each wait has a name of its own, so that an answer to what was shown before counts for nothing.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from telic.episodes import Turn
from telic.errors import DataError, RunError
from telic.files import write_atomically

__all__ = [
    "ANSWERS",
    "LIVE_FILE",
    "AnswerKind",
    "LiveAnswer",
    "LiveBoard",
    "LiveSession",
    "give_answer",
    "read_live_session",
]

LIVE_FILE, ANSWER_FILE = "live.json", "answer.json"
LONGEST = 1 << 20
"""Characters of an answer; a patch may be one."""
PAUSE = 0.2
"""Seconds between two looks for an answer."""
AnswerKind = Literal["answer", "accept", "edit", "revert", "comment"]
Wait = Literal["", "answer", "decision"]
ANSWERS: dict[Wait, tuple[AnswerKind, ...]] = {
    "": (),
    "answer": ("answer",),
    "decision": ("accept", "edit", "revert", "comment"),
}
"""By what a session waits for: what may be answered."""


def _encodable(text: Any) -> Any:
    try:
        str(text).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which a browser may send
        raise ValueError("it contains an invalid character; remove it") from None
    return text


class LiveAnswer(BaseModel):
    """What a person answers on a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    """The wait that it is for."""
    kind: AnswerKind
    text: Annotated[str, Field(max_length=LONGEST), BeforeValidator(_encodable)] = ""
    """The answer, the edited patch, or the comment."""


class LiveSession(BaseModel):
    """What a session shows. All texts are data from others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str
    """Who may see it and decide: the holder of an API key, or `local` on a server without keys."""
    on_page: bool = False
    """Whether the person answers on a page, and not in the terminal of the session."""
    title: str = ""
    repository: str = ""
    stage: str = "look"
    """What comes next: look, ask, write, decide, done."""
    waits_for: Wait = ""
    step: str = ""
    """The name of this wait."""
    findings: str = ""
    question: str = ""
    options: tuple[str, ...] = ()
    """Answers to the question that are likely."""
    attempts: tuple[str, ...] = ()
    """What the tests said of each attempt at the last patch."""
    patch: str = ""
    tests: str = ""
    """What the tests say of the patch."""
    passed: bool = False
    stopped: str = ""
    """The limit that ended the work; empty if none did."""
    problem: str = ""
    """Why something that the person wanted could not be done."""
    decision: str = ""
    """How the session ended."""
    turns: tuple[Turn, ...] = ()
    """The dialogue so far."""


def read_live_session(folder: Path) -> LiveSession | None:
    """Read what a session shows; None if its folder has nothing to show.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / LIVE_FILE
    if not path.is_file() or path.is_symlink():  # a link may point to any file
        return None
    try:
        return LiveSession.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {error.errors()[0]['msg']}") from None


def give_answer(folder: Path, kind: AnswerKind, text: str, step: str) -> None:
    """Answer a session that waits.

    Args:
        folder: its run folder.
        kind: what is answered.
        text: the answer, the edited patch, or the comment.
        step: the wait that is answered, as it was shown.

    Raises:
        DataError: the session waits for something else by now, or was answered already; or the text is too long or no
            text.
        RunError: the answer cannot be written.
    """
    session = read_live_session(folder)
    if session is None or not step or session.step != step or kind not in ANSWERS[session.waits_for]:
        raise DataError("the session has moved on in the meantime; look at it again")
    if (folder / ANSWER_FILE).exists():
        raise DataError("the session already has an answer, and will continue in a moment")
    try:
        answer = LiveAnswer(step=step, kind=kind, text=text)
    except ValidationError as error:
        raise DataError(f"the text is refused: {error.errors()[0]['msg']}") from None
    try:
        write_atomically(folder / ANSWER_FILE, answer.model_dump_json())
    except OSError as error:
        raise RunError(f"cannot write {str(folder / ANSWER_FILE)!r}: {error.strerror}") from None


class LiveBoard:
    """What a session shows, and where it waits for answers.

    Args:
        folder: the run folder.
        session: what is shown at first.
    """

    def __init__(self, folder: Path, session: LiveSession) -> None:
        self._folder, self.session = folder, session

    def show(self, **changes: Any) -> None:
        """Change fields of what is shown.

        Raises:
            RunError: the file cannot be written.
        """
        self.session = self.session.model_copy(update=changes)
        try:
            write_atomically(self._folder / LIVE_FILE, self.session.model_dump_json())
        except OSError as error:
            raise RunError(f"cannot write {str(self._folder / LIVE_FILE)!r}: {error.strerror}") from None

    def wait(self, waits_for: Wait, **shown: Any) -> LiveAnswer:
        """Wait until the person has answered.

        Args:
            waits_for: what is asked of them.
            **shown: fields of what is shown.

        Raises:
            RunError: the file cannot be written.
        """
        step = secrets.token_hex(16)
        self._take()  # an answer to an earlier wait counts for nothing, and is in the way of another one
        self.show(waits_for=waits_for, step=step, **shown)
        try:
            while True:
                answer = self._take()
                if answer is not None and answer.step == step and answer.kind in ANSWERS[waits_for]:
                    self.show(problem="")
                    return answer
                time.sleep(PAUSE)
        finally:
            self.show(waits_for="", step="")

    def _take(self) -> LiveAnswer | None:
        """Take the answer that is there; what is no answer is dropped."""
        path = self._folder / ANSWER_FILE
        try:
            data = b"" if path.is_symlink() else path.read_bytes()
        except FileNotFoundError:
            return None
        with suppress(OSError):
            path.unlink()
        try:
            return LiveAnswer.model_validate_json(data)
        except ValidationError:
            return None
