"""The `telic` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from telic.cli.chat import Chat
from telic.cli.format import Format
from telic.cli.measure import Measure
from telic.cli.models import Models
from telic.cli.new import New
from telic.cli.view import View
from telic.errors import TelicError

__all__ = ["main"]

VERBS = {"new": New, "chat": Chat, "measure": Measure, "format": Format, "models": Models, "view": View}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. Exit status: 0 done, 1 failed for a reason that was printed, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        from telic import __version__

        sys.stdout.write(f"telic {__version__}\n")
        return
    try:
        verb = tyro.extras.subcommand_cli_from_dict(
            VERBS, args=arguments, prog="telic", description="Put a chat model to work on a purpose."
        )
        verb.run()
    except TelicError as error:
        sys.stderr.write(f"telic: {error}\n")
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\ntelic: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
