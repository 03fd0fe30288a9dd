"""The `telic` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from telic.cli.chat import Chat
from telic.cli.conversations import Conversations
from telic.cli.demo import Demo
from telic.cli.format import Format
from telic.cli.hold import Hold
from telic.cli.keys import ManageKeys
from telic.cli.measure import Measure
from telic.cli.models import Models
from telic.cli.new import New
from telic.cli.play import Play
from telic.cli.readers import Readers
from telic.cli.serve import Serve
from telic.cli.thread_options import ThreadOptions
from telic.cli.train import Train
from telic.cli.usage import UsageError
from telic.cli.view import View
from telic.errors import TelicError
from telic.models.threads import prepare_threads

__all__ = ["main"]

VERBS: dict[str, Callable[..., Any]] = {
    "demo": Demo,
    "new": New,
    "chat": Chat,
    "measure": Measure,
    "hold": Hold,
    "play": Play,
    "train": Train,
    "readers": Readers,
    "serve": Serve,
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
        verb = tyro.extras.subcommand_cli_from_dict(
            VERBS,
            args=arguments,
            prog="telic",
            description="Put a chat model to work on a purpose.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        loading = verb.action if isinstance(verb, Readers) else verb
        if isinstance(loading, ThreadOptions):
            prepare_threads(loading.threads)
        verb.run()
        sys.stdout.flush()
    except TelicError as error:
        _print_error(str(error))
        sys.exit(2 if isinstance(error, UsageError) else 1)
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


def _print_error(text: str) -> None:
    sys.stderr.write(f"telic: {text}\n")


if __name__ == "__main__":
    main()
