"""`telic memory`, on a server's store and on what `telic chat` remembers."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from telic.cli.main import main
from telic.server.store import ConversationStore
from tests.server.test_store import history, new_turns

PURPOSE = """
name = "travel"
model = "fake"
system = "You are Mia."
[memory]
slots = ["home airport"]
[serve]
store = "{store}"
"""


@pytest.fixture
def purpose(tmp_path: Path) -> str:
    path, store = tmp_path / "travel.toml", tmp_path / "telic.db"
    path.write_text(PURPOSE.format(store=store))
    with closing(ConversationStore(str(store))) as opened:
        said = history("ann", "My home airport is Graz. I love marzipan.")
        opened.add(new_turns("c1", said, "Noted.", remembering="travel"))
        opened.add(new_turns("c2", history("bob", "I hate karaoke."), "Noted.", remembering="travel"))
    return str(path)


def result(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    main(["memory", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_show_why_export_and_forget(purpose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert result(capsys, "list", purpose) == [{"user": "ann", "events": 2}, {"user": "bob", "events": 2}]
    shown = result(capsys, "show", purpose, "--user", "ann")
    assert {(fact["slot"], fact["value"]) for fact in shown["facts"]} == {
        ("home airport", "Graz"),
        ("taste", "marzipan"),
    }
    [reason] = result(capsys, "why", purpose, "airport", "--user", "ann")
    assert (reason["quote"], reason["said"]) == ("Graz", "My home airport is Graz. I love marzipan.")
    out = tmp_path / "ann.jsonl"
    assert result(capsys, "export", purpose, "--user", "ann", "--out", str(out)) == {"exported": 2, "file": str(out)}
    assert len(out.read_text().splitlines()) == 2
    assert result(capsys, "forget", purpose, "marzipan", "--user", "ann") == {"removed": 1}
    assert result(capsys, "forget", purpose, "marzipan", "--user", "ann") == {"removed": 0}
    assert [path.name for path in tmp_path.glob("telic.db*") if b"marzipan" in path.read_bytes()] == []
    assert [fact["value"] for fact in result(capsys, "show", purpose, "--user", "ann")["facts"]] == ["Graz"]
    assert result(capsys, "forget", purpose, "--all", "--user", "ann")["removed"] > 0
    assert result(capsys, "list", purpose) == [{"user": "bob", "events": 2}]


def test_it_reads_well(purpose: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["memory", "show", purpose, "--user", "ann"])
    assert "home airport" in (shown := capsys.readouterr().out)
    assert "marzipan" in shown
    main(["memory", "why", purpose, "marzipan", "--user", "ann"])
    assert "c1, by statements: 'My home airport is Graz. I love marzipan.'" in capsys.readouterr().out
    main(["memory", "forget", purpose, "marzipan", "--user", "ann"])
    assert "Forgotten" in capsys.readouterr().err


def test_what_a_chat_remembers(
    purpose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = str(tmp_path / "runs")
    for user, line in (("me", "I love nougat."), ("eve", "I hate opera.")):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n"))
        main(["chat", purpose, "--runs", runs, "--user", user])
    monkeypatch.setattr("sys.stdin", io.StringIO("I love chess.\n"))
    main(["chat", purpose, "--runs", runs, "--no-memory"])
    capsys.readouterr()
    mine = result(capsys, "show", purpose, "--chats", "--runs", runs)
    assert [fact["value"] for fact in mine["facts"]] == ["nougat"]
    hers = result(capsys, "show", purpose, "--chats", "--runs", runs, "--user", "eve")
    assert [fact["value"] for fact in hers["facts"]] == ["opera"]
    assert result(capsys, "forget", purpose, "nougat", "--chats", "--runs", runs) == {"removed": 1}
    assert not any(b"nougat" in path.read_bytes() for path in (tmp_path / "runs" / "memory").iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("show", "{p}"), 2, "show needs --user NAME"),
        (("forget", "{p}", "--user", "ann"), 2, "forget needs some words"),
        (("forget", "{p}", "jazz", "--all", "--user", "ann"), 2, "forget needs some words"),
        (("show", "{p}", "jazz", "--user", "ann"), 2, "show takes no words"),
        (("list", "{p}", "--chats"), 2, "--chats reads the memory of one user"),
        (("show", "{p}", "--chats", "--runs", "nowhere"), 1, "has no memory of 'me'"),
        (("show", "{p}", "--user", "carl"), 1, "nothing is remembered about 'carl'"),
        (("show", "demo", "--user", "ann"), 1, "demo has no [memory] table"),
        (("list", "{p}", "--store", "none.db"), 1, "the store 'none.db' does not exist"),
    ],
)
def test_wrong_usage(
    purpose: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, says: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["memory", *(one.replace("{p}", purpose) for one in arguments)])
    assert stopped.value.code == status
    assert says in capsys.readouterr().err


def test_mistakes_of_the_table_are_reported_with_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "travel.toml"
    path.write_text('name = "a"\nsystem = "b"\n[memory]\nbudget = -3\nslot = ["x"]\n')
    with pytest.raises(SystemExit):
        main(["memory", "list", str(path)])
    said = capsys.readouterr().err
    assert "line 4: memory.budget: budget is -3" in said
    assert "line 5: memory.slot: unknown setting 'slot'; did you mean 'slots'?" in said
