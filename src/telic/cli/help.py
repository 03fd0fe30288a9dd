"""`--help`: what a command does, its options in groups, and examples."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from telic.cli.options import Option, actions_of, options_of

__all__ = ["CommandHelp", "find_command", "overview", "print_help"]

GROUPS = {
    "Model": "model adapter controls judge dtype device batch threads concurrency ray workers readers",
    "Sampling": "temperature top_p seed samples utterance_tokens answer_tokens max_new_tokens reply_tokens",
    "Training": "episodes rounds_of_cloning validation held_out mapping acts PlannerTrainingSettings.tokens "
    "action_size width sigma beta cut_after_question act_epochs clone_epochs clone_lr rl_steps alpha bound gamma "
    "prompt baselines",
    "Run and output": "runs resume minutes write keep json out cache inspect open resamples store file force",
}
"""Headings, and the fields under each, with the class where one name has two meanings. The fields of no heading come
first: what the command is about."""

NARROWEST = 64
"""Width of the help, in characters, where the terminal is narrower."""
WIDEST = 100
"""Width of the help, in characters, where the terminal is wider."""
INDENT = 26
"""Column of the explanations."""


@dataclass(frozen=True)
class CommandHelp:
    """What is said about a command, or about an action of one, before it is laid out."""

    usage: str
    """The command line in one line."""
    paragraphs: tuple[str, ...]
    """What the command does."""
    actions: tuple[tuple[str, str], ...]
    """Its actions, each with what it does; empty for most commands."""
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Headings, each with its options: how an option is written, and its explanation."""
    examples: tuple[str, ...]
    """Command lines."""

    @classmethod
    def of(cls, name: str, command: type) -> CommandHelp:
        """Collect the help of a command from its docstring and its fields."""
        options, actions = list(options_of(command)), actions_of(command)
        words = [option.metavar if option.required else f"[{option.metavar}]" for option in options if not option.flags]
        usage = ["ACTION"] if actions else words
        description, _, examples = inspect.cleandoc(command.__doc__ or "").partition("\n\nExamples:\n")
        return cls(
            usage=" ".join(["telic", name, *usage, "[OPTIONS]"]),
            paragraphs=tuple(" ".join(paragraph.split()) for paragraph in description.split("\n\n")),
            actions=tuple((action, _summary(kind)) for action, kind in actions.items()),
            groups=tuple(
                (heading, tuple((_invocation(option), _explanation(option)) for option in grouped))
                for heading, grouped in _grouped(options)
            ),
            examples=tuple(line.strip() for line in examples.splitlines()),
        )


def find_command(arguments: Sequence[str], commands: Mapping[str, type]) -> tuple[str, type] | None:
    """Find the command, or the action of a command, that the arguments name: `readers train`; None if none does."""
    if not arguments or arguments[0] not in commands:
        return None
    name, command = arguments[0], commands[arguments[0]]
    actions = actions_of(command)
    if len(arguments) > 1 and arguments[1] in actions:
        return f"{name} {arguments[1]}", actions[arguments[1]]
    return name, command


def overview(commands: Mapping[str, type]) -> str:
    """Return the help of `telic` itself."""
    rows = [(name, _summary(command)) for name, command in commands.items()]
    return "\n".join(
        [
            "usage: telic COMMAND [OPTIONS]",
            "",
            "Say what a chatbot is for, measure how well it holds to that, and hold it there.",
            "",
            "Commands:",
            *_table(rows),
            "",
            "Options:",
            *_table([("-h, --help", "Show this help, or that of a command: telic measure --help."),
                     ("--version", "Show the version.")]),
            "",
            "Examples:",
            "  telic new travel.toml",
            "  telic chat travel.toml",
            "  telic measure travel.toml",
        ]
    )  # fmt: skip


def print_help(name: str, command: type) -> None:
    """Print the help of a command, or of an action of one."""
    sys.stdout.write("\n".join(_help(name, command)) + "\n")


def _help(name: str, command: type) -> Iterator[str]:
    found = CommandHelp.of(name, command)
    yield f"usage: {found.usage}"
    for paragraph in found.paragraphs:
        yield ""
        yield from textwrap.wrap(paragraph, _width(), break_on_hyphens=False)
    if found.actions:
        yield from ["", "Actions:", *_table(found.actions)]
    for heading, options in found.groups:
        yield from ["", f"{heading}:", *_table(options)]
    if found.examples:
        yield from ["", "Examples:", *("  " + line for line in found.examples)]


def _grouped(options: Iterable[Option]) -> Iterator[tuple[str, list[Option]]]:
    arguments = [option for option in options if not option.flags]
    others = [option for option in options if option.flags]
    general = [option for option in others if not any(_in(option, names) for names in GROUPS.values())]
    if arguments:
        yield "Arguments", arguments
    help_option = Option("help", "", ("-h", "--help"), "", "Show this help.", "", required=False)
    yield "Options", [*general, help_option]
    for heading, names in GROUPS.items():
        found = [option for option in others if _in(option, names)]
        if found:
            yield heading, found


def _in(option: Option, names: str) -> bool:
    return bool({option.name, f"{option.owner}.{option.name}"} & set(names.split()))


def _invocation(option: Option) -> str:
    return " ".join(part for part in (", ".join(option.flags), option.metavar) if part)


def _explanation(option: Option) -> str:
    note = f" (default: {option.default})" if option.default else " (required)" if option.required else ""
    return option.help + note


def _summary(command: type) -> str:
    """Return the first sentence of a command's docstring."""
    first = " ".join(inspect.cleandoc(command.__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", first, maxsplit=1)[0]


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for left, right in rows:
        lines = textwrap.wrap(right, _width() - INDENT, break_on_hyphens=False, break_long_words=False)
        if len(left) > INDENT - 4:
            yield f"  {left}"
        else:
            lines[0] = f"  {left}".ljust(INDENT) + lines[0]
            yield lines.pop(0)
        yield from (" " * INDENT + line for line in lines)


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
