"""`telic chat` with tools: calls and results are shown, and a person is asked where one must agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telic.cli.chat_view import TerminalView
from telic.dialogue import Message, ToolCall
from telic.tools import function_tool
from tests.cli.conftest import Run
from tests.cli.terminal import Terminal

SCRIPT = """
import telic.models as models
from telic.dialogue import Message, ToolCall
calls = (ToolCall(id="c1", name="cancel", arguments='{"order": "W1"}'),)
models.load = lambda name: models.ScriptedModel(
    lambda messages: "It said: " + messages[-1].content if messages[-1].role == "tool"
    else Message(role="assistant", content="One moment.", tool_calls=calls)
)
"""
CODE = """
def cancel(order: str) -> str:
    return f"{order} is cancelled\\x1b[2J"
"""
PURPOSE = 'name = "shop"\nsystem = "You sell."\n[[tools]]\npython = "shop:cancel"\nconfirm = true\n'


def shop(folder: Path) -> None:
    (folder / "shop.py").write_text(CODE)
    (folder / "shop.toml").write_text(PURPOSE)


def test_a_person_is_asked_and_sees_calls_and_results(tmp_path: Path) -> None:
    shop(tmp_path)
    talk = Terminal(tmp_path, "chat", "shop.toml", "--trust", before=SCRIPT)
    try:
        for answer, told in (("y", "W1 is cancelled"), ("", "error: the user does not want cancel")):
            talk.expect("you> ")
            talk.type("Cancel W1\n")
            talk.expect("One moment.")
            assert 'calls cancel {"order": "W1"}' in talk.expect("[y/N] ")
            talk.type(f"{answer}\n")
            talk.expect(f"gets {told}")
            talk.expect(f"It said: {told}")
        assert "\x1b[2J" not in talk.shown
        talk.expect("you> ")
        talk.type("/quit\n")
        assert talk.wait() == 0
    finally:
        talk.kill()
    [path] = (tmp_path / "runs" / "chats").iterdir()
    roles = [message["role"] for message in json.loads(path.read_text())["messages"]]
    assert roles == ["system", *["user", "assistant", "tool", "assistant"] * 2]


def test_nobody_agrees_to_what_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pay(note: str, to: str) -> str:
        return f"{to} has it: {note}"

    monkeypatch.setattr("builtins.input", lambda: "")
    arguments = json.dumps({"note": "thanks " * 100, "to": "mallory"})
    call = ToolCall(id="c1", name="pay", arguments=arguments)
    view = TerminalView("shop")
    assert not view.confirm(function_tool(pay), call)
    assert "mallory" in capsys.readouterr().out
    view.show_tool(Message(role="assistant", content="", tool_calls=(call.model_copy(update={"name": "\x1b[2J"}),)))
    assert "\x1b[2J" not in capsys.readouterr().out


def test_json_has_the_calls_and_nobody_is_asked(tmp_path: Path) -> None:
    shop(tmp_path)
    talk = Terminal(tmp_path, "chat", "shop.toml", "--trust", "--json", before=SCRIPT)
    try:
        talk.type("Cancel W1\n")
        line = talk.expect('"seed"')
        assert "It said: error: cancel needs the confirmation of a person" in line
    finally:
        talk.kill()


def test_mistakes_of_tools_are_told_with_all_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'name = "x"\nsystem = "y"\n[[tools]]\nname = "calculat"\n[[controls]]\nname = "z"\n'
    )
    result = run("chat", "bad.toml")
    assert result.status != 0
    assert "unknown tool 'calculat'; did you mean 'calculate'?" in result.error
    assert "unknown control 'z'" in result.error
