"""What others wrote, on a terminal: control characters are shown, not obeyed."""

from __future__ import annotations

import io
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.human import HumanPlayer
from telic.cli.output import print_line, print_notice, print_table
from telic.models import ScriptedModel
from telic.terminal import printable, printable_pieces, reviewable
from tests.cli.conftest import PURPOSE

EVIL = "Hi\x1b]0;owned\x07\x1b[2J\r\x9b1A\x08\x7f there"


@given(text=st.text())
def test_only_new_lines_and_tabs_stay(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    for char, before in zip(shown, text, strict=True):
        control = ord(before) < 32 or 127 <= ord(before) < 160
        assert (char == before) is (not control or before in "\n\t")
        assert char in "\n\t" or not (ord(char) < 32 or 127 <= ord(char) < 160)


@pytest.mark.parametrize(
    "mark", ["\u202e", "\u2066", "\u2069", "\u200b", "\u200f", "\ufeff", "\u061c", "\u2028", "\u3164", "\u00ad"]
)
def test_code_to_review_names_what_would_hide_or_reorder_it(mark: str) -> None:
    assert reviewable(f"if {mark}admin:\x1b\n") == f"if <U+{ord(mark):04X}>admin:␛\n"


def test_other_scripts_stay_as_they_are() -> None:
    assert reviewable("שלום, é — 日本") == "שלום, é — 日本"


def test_a_stream_is_closed_with_its_pieces() -> None:
    closed = []

    def pieces() -> Generator[str, None, None]:
        try:
            yield "\x1b"
            yield "["
        finally:
            closed.append(True)

    shown = printable_pieces(pieces())
    assert next(shown) == "␛"
    del shown
    assert closed == [True]


def test_lines_tables_and_what_a_person_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(EVIL)
    print_notice(EVIL)
    print_table((EVIL, "b"), [(EVIL, EVIL)])
    HumanPlayer().show(EVIL)
    captured = capsys.readouterr()
    assert "␛[2J" in captured.out
    assert not set("\x1b\x07\x9b\r\x08\x7f") & set(captured.out + captured.err)


def test_a_reply_in_the_chat(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from telic.cli.main import main

    (tmp_path / "travel.toml").write_text(PURPOSE)
    monkeypatch.setattr("telic.models.load", lambda name: ScriptedModel([EVIL]))
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n"))
    main(["chat", str(tmp_path / "travel.toml")])
    assert "␛]0;owned␇␛[2J" in capsys.readouterr().out
