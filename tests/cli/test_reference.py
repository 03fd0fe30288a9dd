"""The page of the command line says what `--help` says."""

from __future__ import annotations

from pathlib import Path

from telic.cli.main import VERBS
from telic.cli.options import actions_of, options_of
from telic.cli.reference import command_reference

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == command_reference(), "make it anew: make docs"


def test_every_option_of_every_command_has_a_line() -> None:
    page = command_reference()
    for name, command in VERBS.items():
        kinds = {name: command, **{f"{name} {action}": kind for action, kind in actions_of(command).items()}}
        for title, kind in kinds.items():
            section = page.partition(f"# telic {title}\n")[2].partition("\n## ")[0]
            for option in options_of(kind):
                assert all(flag in section for flag in option.flags)
                assert option.metavar.replace("|", "\\|") in section


def test_no_cell_of_a_table_is_broken() -> None:
    rows = [line for line in command_reference().splitlines() if line.startswith("| ")]
    assert len(rows) > 100
    assert {row.replace("\\|", "").count("|") for row in rows} == {3}
