"""The command `telic` on the pages: asks the server of `as_printed.py`, named in TELIC_PAGES_SERVER, to run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Run the command there, and pass on signals and its exit status."""
    asked = {"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["TELIC_PAGES_SERVER"])
        socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
        with connection.makefile() as answers:
            process = int(answers.readline())
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda given, _: os.kill(process, given))
            return int(answers.readline() or 1)


if __name__ == "__main__":
    sys.exit(main())
