"""A session that waits for a person on a page: what counts as an answer, and what does not."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from telic.errors import DataError, RunError
from telic.issues.live import LIVE_FILE, LiveAnswer, LiveBoard, LiveSession, give_answer, read_live_session


class Waiting:
    """A board that waits in a thread of its own."""

    def __init__(self, folder: Path, waits_for: Any, **shown: Any) -> None:
        self.folder, self.answers = folder, list[LiveAnswer]()
        self.board = LiveBoard(folder, LiveSession(user="local", on_page=True))
        self.thread = threading.Thread(
            target=lambda: self.answers.append(self.board.wait(waits_for, **shown)), daemon=True
        )
        self.thread.start()
        while not self.shown.step:
            time.sleep(0.01)

    @property
    def shown(self) -> LiveSession:
        return read_live_session(self.folder) or LiveSession(user="local")

    def ended(self) -> LiveAnswer:
        self.thread.join(30)
        [answer] = self.answers
        return answer


def test_a_session_shows_what_it_waits_for_and_takes_the_answer(tmp_path: Path) -> None:
    session = Waiting(tmp_path, "answer", question="Why?", options=("a", "b"), problem="Nothing fits.")
    shown = session.shown
    assert (shown.waits_for, shown.question, shown.options) == ("answer", "Why?", ("a", "b"))
    give_answer(tmp_path, "answer", "a", shown.step)
    assert session.ended().text == "a"
    assert (session.shown.waits_for, session.shown.step, session.shown.problem) == ("", "", "")


def test_an_answer_to_something_else_is_refused(tmp_path: Path) -> None:
    session = Waiting(tmp_path, "decision")
    step = session.shown.step
    for kind, given in (("accept", "an older step"), ("answer", step), ("accept", "")):
        with pytest.raises(DataError, match="has moved on"):
            give_answer(tmp_path, kind, "", given)  # type: ignore[arg-type]
    assert session.thread.is_alive()
    give_answer(tmp_path, "revert", "", step)
    assert session.ended().kind == "revert"
    with pytest.raises(DataError, match="has moved on"):
        give_answer(tmp_path, "accept", "", step)


def test_one_wait_has_one_answer(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(LiveAnswer(step="before", kind="accept").model_dump_json())
    board = LiveBoard(tmp_path, LiveSession(user="local"))
    board.show(waits_for="decision", step="now")  # as if the session were slow to look
    with pytest.raises(DataError, match="already has an answer"):
        give_answer(tmp_path, "accept", "", "now")
    session = Waiting(tmp_path, "decision")
    while session.shown.step == "now":
        time.sleep(0.01)
    give_answer(tmp_path, "revert", "", session.shown.step)
    assert session.ended().kind == "revert"


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense",
        json.dumps({"step": "another", "kind": "accept"}).encode(),
        json.dumps({"step": "STEP", "kind": "answer"}).encode(),
        json.dumps({"step": "STEP", "kind": "accept", "more": 1}).encode(),
    ],
)
def test_a_file_that_is_no_answer_is_dropped(tmp_path: Path, content: bytes) -> None:
    session = Waiting(tmp_path, "decision")
    step = session.shown.step
    draft = tmp_path / "draft"
    draft.write_bytes(content.replace(b"STEP", step.encode()))
    draft.rename(tmp_path / "answer.json")
    while (tmp_path / "answer.json").exists():
        time.sleep(0.01)
    assert session.thread.is_alive()
    give_answer(tmp_path, "accept", "", step)
    assert session.ended().kind == "accept"


@pytest.mark.parametrize(("text", "message"), [("a\ud800", "invalid character"), ("a" * (1 << 21), "at most")])
def test_a_text_that_cannot_be_taken_is_refused(tmp_path: Path, text: str, message: str) -> None:
    session = Waiting(tmp_path, "answer")
    step = session.shown.step
    with pytest.raises(DataError, match=message):
        give_answer(tmp_path, "answer", text, step)
    give_answer(tmp_path, "answer", "", step)
    session.ended()


def test_what_is_no_session_is_not_shown(tmp_path: Path) -> None:
    assert read_live_session(tmp_path) is None
    (tmp_path / "elsewhere.json").write_text(LiveSession(user="local").model_dump_json())
    (tmp_path / LIVE_FILE).symlink_to(tmp_path / "elsewhere.json")
    assert read_live_session(tmp_path) is None
    (tmp_path / LIVE_FILE).unlink()
    (tmp_path / LIVE_FILE).write_text('{"user": 1}')
    with pytest.raises(DataError, match=r"live\.json"):
        read_live_session(tmp_path)


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    board = LiveBoard(tmp_path / "nowhere", LiveSession(user="local"))
    with pytest.raises(RunError, match="cannot write"):
        board.show(problem="x")
