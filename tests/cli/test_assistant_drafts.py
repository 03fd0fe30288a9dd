"""`telic assistant drafts`, as a user types it."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from telic.cli.main import main

PURPOSE = """
name = "mail"
model = "fake"
system = "You write letters."
[memory]
[drafts]
you = ["sam@acme.io"]
name = "Sam"
mailbox = "in.mbox"
"""
MAIL = (
    "From x Mon Jan  5 09:0{0}:00 2026\nFrom: Dana Kim <dana{0}@acme.io>\nTo: sam@acme.io\nMessage-ID: <m{0}@acme.io>\n"
    "Subject: Question {0}\nDate: Mon, 05 Jan 2026 09:0{0}:00 +0000\n\n"
    "Hi Sam,\n\nCan you send report {0} by Friday?\n\nDana\n\n"
)
EDITOR = """#!{python}
import sys
from pathlib import Path
path = Path(sys.argv[1])
text = path.read_text()
assert "# From: Dana Kim" in text
path.write_text(text.replace("Hello Dana,", "Hey Dana!").replace("Thank you for your message.", ""))
"""


@pytest.fixture
def purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISUAL", raising=False)
    (tmp_path / "in.mbox").write_text("".join(MAIL.format(number) for number in range(3)))
    editor = tmp_path / "editor"
    editor.write_text(EDITOR.format(python=sys.executable))
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    (tmp_path / "mail.toml").write_text(PURPOSE)
    return "mail.toml"


def result(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    main(["assistant", "drafts", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit):
        main(["assistant", "drafts", *arguments])
    return capsys.readouterr().err


def test_drafts_are_edited_learnt_and_shown(purpose: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = result(capsys, purpose)
    assert [row["status"] for row in first["drafts"]] == ["new"] * 3
    assert first["drafts"][0]["asks"][0]["due"] == "Friday"
    assert [row["status"] for row in result(capsys, purpose, "--edit")["drafts"]] == ["edited"] * 3
    assert "Hey Dana!" in Path(first["drafts"][0]["file"]).read_text()
    shown = result(capsys, purpose, "--preferences")
    assert {(one["kind"], one["feature"], one["value"]) for one in shown} == {
        ("colleague", "greeting", "Hey {first}!"),
        ("colleague", "opening", ""),
    }
    with Path("in.mbox").open("a") as file:
        file.write(MAIL.format(4))
    draft = result(capsys, purpose)["drafts"][0]
    assert draft["draft"].startswith("Hey Dana!")
    assert "Thank you" not in draft["draft"]
    assert len(result(capsys, purpose, "--revoke", "1")) == 1
    main(["memory", "show", purpose, "--chats", "--json"])
    assert {fact["context"] for fact in json.loads(capsys.readouterr().out)["facts"]} == {"mail to colleague"}


def test_say_answers_one_message_and_edited_copies_are_learnt(
    purpose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = result(capsys, purpose, "--only", "2", "--say", "I will send it tomorrow")["drafts"][0]
    assert "I will send it tomorrow." in said["draft"]
    assert said["gaps"] == 0
    copies = tmp_path / "copies"
    copies.mkdir()
    name = Path(said["file"]).name
    (copies / name).write_text(Path(said["file"]).read_text().replace("Best regards", "Cheers"))
    assert result(capsys, purpose, "--learn-from", str(copies)) == {"learnt": 1}
    assert result(capsys, purpose, "--learn-from", str(copies)) == {"learnt": 0}


def test_mistakes_are_named(
    purpose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--only 2" in fails(capsys, purpose, "--say", "yes")
    assert "from 1 to 3" in fails(capsys, purpose, "--only", "9")
    assert "none.mbox" in fails(capsys, purpose, "--mail", "none.mbox")
    assert "not a mailbox" in fails(capsys, purpose, "--mail", "editor")
    assert "expected a folder" in fails(capsys, purpose, "--learn-from", "none")
    assert "no preference is certain" in fails(capsys, purpose, "--revoke", "1")
    monkeypatch.setenv("EDITOR", str(tmp_path / "missing"))
    assert "set EDITOR" in fails(capsys, purpose, "--edit")
    monkeypatch.setenv("EDITOR", "vim '")
    assert "set EDITOR to a command" in fails(capsys, purpose, "--edit")
    Path("empty.mbox").touch()
    assert "no message waits" in fails(capsys, purpose, "--mail", "empty.mbox", "--only", "1")
    (tmp_path / "bad.toml").write_text(PURPOSE.replace("sam@acme.io", "nobody"))
    assert "bad.toml, line 7" in fails(capsys, "bad.toml")
    (tmp_path / "none.toml").write_text(PURPOSE.split("[drafts]")[0])
    assert "no [drafts] table" in fails(capsys, "none.toml")


def test_an_interrupted_edit_is_kept(
    purpose: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = 'import os, signal, sys; open(sys.argv[1], "w").write("Mine"); os.kill(os.getppid(), signal.SIGINT)'
    monkeypatch.setenv("EDITOR", f"{sys.executable} -c '{code}'")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of pytest-xdist ignore it
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["assistant", "drafts", purpose, "--edit", "--only", "1"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.code == 130
    [kept] = Path("drafts").glob(".edit-*")
    assert kept.read_text() == "Mine"
    assert str(kept) in capsys.readouterr().err.replace("\n", "")
    monkeypatch.setenv("EDITOR", str(Path("missing").resolve()))
    fails(capsys, purpose, "--edit", "--only", "1")
    monkeypatch.setenv("EDITOR", "true")
    [row] = result(capsys, purpose, "--edit", "--only", "1")["drafts"]
    assert row["draft"] == "Mine\n"
    assert "Mine" in Path(row["file"]).read_text()
    assert not kept.exists()


def test_a_line_of_the_user_may_begin_with_a_hash(
    purpose: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = 'import sys; path = sys.argv[1]; text = open(path).read(); open(path, "w").write("#42 is done.\\n" + text)'
    monkeypatch.setenv("EDITOR", f"{sys.executable} -c '{code}'")
    [row] = result(capsys, purpose, "--edit", "--only", "1")["drafts"]
    assert row["draft"].startswith("#42 is done.\nHello Dana,")
    assert "From: Dana" not in row["draft"]


def test_numbers_stay_and_words_that_are_not_used_are_told(
    purpose: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    [row] = result(capsys, purpose, "--only", "2", "2")["drafts"]
    assert row["number"] == 2
    main(["assistant", "drafts", purpose, "--only", "2"])
    assert "\n2  Dana Kim" in capsys.readouterr().out
    path = Path(row["file"])
    path.write_text(path.read_text().replace("Hello", "Dear"))
    main(["assistant", "drafts", purpose, "--only", "2", "--say", "yes"])
    assert "--say was not used: you have changed" in capsys.readouterr().out.replace("\n", " ")


def test_an_empty_mailbox_and_the_table(purpose: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.mbox").touch()
    main(["assistant", "drafts", purpose, "--mail", "empty.mbox"])
    assert "No message waits" in capsys.readouterr().err
    main(["assistant", "drafts", purpose])
    assert "Dana Kim" in capsys.readouterr().out
