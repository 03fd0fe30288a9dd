"""The reference of the command line as a page of Markdown, made from what `--help` says.

python -m telic.cli.reference > docs/commands.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from telic.cli.help import CommandHelp
from telic.cli.main import VERBS
from telic.cli.options import actions_of

__all__ = ["command_reference"]

HELP = "-h, --help"
"""The option of every command, which needs no line for each."""

INTRODUCTION = """\
# The command line

Every command and every option, as `--help` shows them. `python -m telic.cli.reference` generates this page.

`telic --version` shows the version. The exit status is 0 if the command succeeded, 1 if it failed, 2 if its command
line was wrong, and 130 if Ctrl-C interrupted it. Results go to standard output; progress, notices and errors go to
standard error."""


def command_reference() -> str:
    """Return the page, with a section for each command."""
    return "\n".join([INTRODUCTION, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    for name, command in VERBS.items():
        yield from _section(f"telic {name}", CommandHelp.of(name, command), level=2)
        for action, kind in actions_of(command).items():
            yield from _section(f"telic {name} {action}", CommandHelp.of(f"{name} {action}", kind), level=3)


def _section(title: str, found: CommandHelp, *, level: int) -> Iterator[str]:
    yield from ["", f"{'#' * level} {title}", "", f"`{found.usage}`"]
    for paragraph in found.paragraphs:
        yield from ["", _escaped(paragraph)]
    if found.actions:
        yield from _table("action", found.actions)
    for heading, options in found.groups:
        rows = [(f"`{option}`", text) for option, text in options if option != HELP]
        if rows:
            yield from _table(heading.lower(), rows)
    if found.examples:
        yield from ["", "<!-- skip: examples, which tests/cli/test_help.py parses -->"]
        yield from ["```sh", *found.examples, "```"]


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from ["", f"| {heading} | |", "|---|---|"]
    yield from (f"| {_escaped(left)} | {_escaped(right)} |" for left, right in rows)


def _escaped(text: str) -> str:
    """Return a text in which no character opens a tag or ends a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(command_reference())
