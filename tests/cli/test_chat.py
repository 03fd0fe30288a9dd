"""`telic chat` at a terminal: line editing, names, commands, and a dialogue that is not lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import CTRL_D, Terminal

ECHO = """
import telic.models as models
models.load = lambda name: models.ScriptedModel(lambda messages: f"You said {messages[-1].content!r}.")
"""
WAITING = """
import telic.models as models, time
class Waiting(models.ScriptedModel):
    def stream(self, request):
        yield "Well, "
        time.sleep(600)
models.load = lambda name: Waiting(lambda messages: "")
"""
LEFT, UP = "\x1b[D", "\x1b[A"


@pytest.fixture
def chat(tmp_path: Path, travel: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def call(*arguments: str, before: str = ECHO) -> Terminal:
        opened.append(Terminal(tmp_path, "chat", "travel.toml", *arguments, before=before))
        return opened[-1]

    yield call
    for one in opened:
        one.kill()


def saved(folder: Path) -> list[list[str]]:
    """The messages of each dialogue that was saved, without the system prompt."""
    [path] = (folder / "runs" / "chats").iterdir()
    dialogues = [json.loads(line)["messages"] for line in path.read_text().splitlines()]
    return [[message["content"] for message in messages[1:]] for messages in dialogues]


def test_lines_are_edited_and_recalled_and_names_are_shown(chat: Callable[..., Terminal]) -> None:
    talk = chat()
    talk.expect("travel on scripted. /help lists the commands, /quit ends.")
    talk.expect("you> ")
    talk.type(f"Helo{LEFT}l\n")
    talk.expect("travel> You said 'Hello'.")
    talk.expect("you> ")
    talk.type(f"{UP}\n")
    talk.expect("travel> You said 'Hello'.")
    talk.expect("you> ")
    talk.type("/help\n")
    assert "/save FILE" in talk.expect("/quit")
    talk.expect("you> ")
    talk.type("/quit\n")
    assert talk.wait() == 0


def test_ctrl_c_at_the_prompt_keeps_the_chat_going_and_the_dialogue_is_saved(
    chat: Callable[..., Terminal], tmp_path: Path
) -> None:
    talk = chat()
    talk.expect("you> ")
    talk.type("Hello\n")
    talk.expect("You said 'Hello'.")
    talk.expect("you> ")
    talk.type("half a line")
    talk.expect("half a line")
    talk.interrupt()
    talk.expect("(/quit or Ctrl-D ends the chat)")
    talk.expect("you> ")
    talk.type("/reset\n")
    talk.expect("you> ")
    talk.type("Again\n")
    talk.expect("You said 'Again'.")
    talk.expect("you> ")
    talk.type(CTRL_D)
    talk.expect("The chat is saved in runs/chats/travel-")
    assert talk.wait() == 0
    assert saved(tmp_path) == [["Hello", "You said 'Hello'."], ["Again", "You said 'Again'."]]


def test_a_chat_that_was_killed_is_saved(chat: Callable[..., Terminal], tmp_path: Path) -> None:
    talk = chat()
    talk.expect("you> ")
    talk.type("Hello\n")
    talk.expect("You said 'Hello'.")
    talk.expect("you> ")
    talk.process.send_signal(signal.SIGKILL)
    assert talk.wait() == -signal.SIGKILL
    assert saved(tmp_path) == [["Hello", "You said 'Hello'."]]


def test_ctrl_c_cuts_a_reply_short(chat: Callable[..., Terminal], tmp_path: Path) -> None:
    talk = chat(before=WAITING)
    talk.expect("you> ")
    talk.type("Hello\n")
    talk.expect("travel> Well, ")
    talk.interrupt()
    talk.expect("[cut short; not kept]")
    talk.expect("you> ")
    talk.type("/quit\n")
    assert talk.wait() == 0
    assert not (tmp_path / "runs").exists(), "nothing was said"


def test_a_chat_is_not_saved_against_the_users_will(chat: Callable[..., Terminal], tmp_path: Path) -> None:
    talk = chat("--no-keep")
    talk.expect("you> ")
    talk.type("Hello\n")
    talk.expect("You said 'Hello'.")
    talk.expect("you> ")
    talk.type(CTRL_D)
    assert talk.wait() == 0
    assert not (tmp_path / "runs").exists()
