"""The `telic` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import tyro

from telic.cli.assistant import Assistant
from telic.cli.attack import Attack
from telic.cli.chat import Chat
from telic.cli.conversations import Conversations
from telic.cli.demo import Demo
from telic.cli.format import Format
from telic.cli.help import find_command, overview, print_help
from telic.cli.hold import Hold
from telic.cli.keys import ManageKeys
from telic.cli.learn import Learn
from telic.cli.measure import Measure
from telic.cli.memory import ManageMemory
from telic.cli.models import Models
from telic.cli.new import New
from telic.cli.options import REGISTRY, options_of
from telic.cli.pair import Pair
from telic.cli.play import Play
from telic.cli.purpose_check import check_purpose_files
from telic.cli.readers import Readers
from telic.cli.resuming import resumed_arguments
from telic.cli.serve import Serve
from telic.cli.thread_options import ThreadOptions
from telic.cli.train import Train
from telic.cli.usage import UsageError
from telic.cli.view import View
from telic.cli.vllm_serve import VllmServe
from telic.errors import MissingExtraError, TelicError
from telic.models.threads import prepare_threads
from telic.registry import suggest
from telic.runs import COMMAND_ARGUMENTS
from telic.terminal import printable

__all__ = ["main"]

VERBS: dict[str, type] = {
    "demo": Demo,
    "new": New,
    "chat": Chat,
    "measure": Measure,
    "hold": Hold,
    "play": Play,
    "train": Train,
    "attack": Attack,
    "pair": Pair,
    "readers": Readers,
    "serve": Serve,
    "vllm-serve": VllmServe,
    "learn": Learn,
    "memory": ManageMemory,
    "assistant": Assistant,
    "keys": ManageKeys,
    "conversations": Conversations,
    "format": Format,
    "models": Models,
    "view": View,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. Exit status: 0 done, 1 failed (the reason is printed), 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        from telic import __version__

        sys.stdout.write(f"telic {__version__}\n")
        return
    try:
        if asks_for_help(arguments):
            return
        command = parse_command(arguments)
        chosen = command.action if isinstance(command, (Assistant, Readers)) else command
        check_purpose_files(chosen)
        if isinstance(chosen, ThreadOptions):
            prepare_threads(chosen.threads)
        recorded = COMMAND_ARGUMENTS.set(arguments[1:])
        try:
            command.run()
        finally:
            COMMAND_ARGUMENTS.reset(recorded)
        sys.stdout.flush()
    except TelicError as error:
        _print_error(str(error))
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except ModuleNotFoundError as error:
        explained = MissingExtraError.of(error, f"telic {arguments[0]}")
        if explained is None:
            raise
        _print_error(str(explained))
        sys.exit(1)
    except BrokenPipeError:  # the program that reads our output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that flushing at exit does not fail
        sys.exit(1)
    except OSError as error:  # for example, the disk is full or a folder is gone
        _print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)
    except KeyboardInterrupt as interruption:
        sys.stderr.write("\n")
        _print_error(": ".join(["interrupted", *map(str, interruption.args)]))
        sys.exit(130)


def parse_command(arguments: Sequence[str]) -> Any:
    """Return the command that the arguments describe. With `--resume FOLDER`, the arguments of that run come first.

    Raises:
        UsageError: they name no command, or one that did not start the run to resume.
        RunError: there is no such run.
        SystemExit: an option is wrong; tyro has said which.
    """
    name = arguments[0] if arguments else ""
    if not name:
        raise UsageError(f"expected a command: {', '.join(VERBS)}. Read more with: telic --help")
    if name not in VERBS:
        raise UsageError(f"unknown command {name!r}{suggest(name, list(VERBS))}")
    _refuse_empty_lists(arguments)
    before = resumed_arguments(name, arguments[1:])
    if before is None:
        return _parse_options(name, arguments[1:])
    defaults = _without_outcome(_parse_options(name, before))
    # Flags come in pairs, so that one given in addition can agree with the run's or change it.
    return tyro.cli(VERBS[name], args=arguments[1:], prog=f"telic {name}", registry=REGISTRY, default=defaults)


def _refuse_empty_lists(arguments: Sequence[str]) -> None:
    """Refuse an option of several values that has none: it would count as left out, and `hold` compare all controls."""
    found = find_command(arguments, VERBS)
    options = options_of(found[1]) if found else ()
    lists = {flag: option for option in options for flag in option.flags if option.metavar.endswith(" ...")}
    for flag, following in zip(arguments, [*arguments[1:], "--"], strict=True):
        if flag in lists and following.startswith("--"):
            raise UsageError(f"{flag} has no value; expected {flag} {lists[flag].metavar}")


def _parse_options(name: str, arguments: Sequence[str]) -> Any:
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(VERBS[name], args=arguments, prog=f"telic {name}", registry=REGISTRY, config=config)


def _without_outcome(command: Any) -> Any:
    """Return a command without what a resumed run does not take over: how results are printed, and a time limit."""
    changes: dict[str, Any] = {"resume": None, "json": False, "quiet": False}
    known = {field.name for field in fields(command)}
    if "trust" in known:
        changes["trust"] = False  # a run folder is data: whoever resumes it says what may run
    if "settings" in known and "minutes" in type(command.settings).model_fields:
        changes["settings"] = command.settings.model_copy(update={"minutes": None})
    if "minutes" in known:
        changes["minutes"] = None
    return replace(command, **changes)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Print the help that the arguments ask for; return whether they do."""
    if not {"-h", "--help"} & set(arguments):
        return False
    found = find_command(arguments, VERBS)
    if found:
        print_help(*found)
    elif arguments[0].startswith("-"):
        sys.stdout.write(overview(VERBS) + "\n")
    return found is not None or arguments[0].startswith("-")


def _print_error(text: str) -> None:
    sys.stderr.write(f"telic: {printable(text)}\n")


if __name__ == "__main__":
    main()
