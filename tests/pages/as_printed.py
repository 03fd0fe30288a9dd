"""Runs what the documentation prints, with a tiny random model in place of the bundled one.

python as_printed.py serve SOCKET       # runs commands of telic, each in a fork that has torch already
python as_printed.py python             # pieces of Python, whose files are named on standard input, one a line

The words are nonsense, but every setting, file and name is what a reader gets. A minute of `--minutes` is a second, as
the tiny model takes about a sixtieth of the time. TELIC_PAGES_MODEL=smollm2 keeps the bundled model and the minutes.

The command `telic` itself is `telic_command.py`, which asks the server to run it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import telic.models
import telic.progress.deadline
from telic.models import Model

ENDING = 5.0
"""Added to the logit of the token that ends a reply, so that replies have about a dozen tokens."""


def use_tiny_model() -> None:
    """Let `load("smollm2")` give a tiny random model with short replies and fast minutes."""
    load = telic.models.load

    def replaced(name: str, **options: Any) -> Model:
        return tiny_model() if name == "smollm2" else load(name, **options)

    for module in (telic.models, telic.models.catalog):
        setattr(module, "load", replaced)  # noqa: B010 - a type checker refuses the assignment
    telic.progress.deadline.CLOCK = lambda: 60 * time.monotonic()


def tiny_model() -> Model:
    """Make the model that stands in for the bundled one."""
    import torch

    from tests.models.tiny import EOS, local

    model = local("llama", context=8192)
    bias = torch.zeros(model.model.config.vocab_size)
    bias[EOS] = ENDING
    model.model.get_output_embeddings().bias = torch.nn.Parameter(bias, requires_grad=False)
    return model


def run_command(arguments: list[str]) -> int:
    """Run a command of telic; returns its exit status."""
    from telic.cli.main import main

    if os.environ.get("TELIC_PAGES_MODEL") != "smollm2":
        use_tiny_model()
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def run_pieces() -> None:
    """Run files of Python in one namespace, as their names come."""
    if os.environ.get("TELIC_PAGES_MODEL") != "smollm2":
        use_tiny_model()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for name in map(str.strip, sys.stdin):
        # What this module imports from the future is not on the page.
        exec(compile(Path(name).read_text(encoding="utf-8"), name, "exec", dont_inherit=True), namespace)
        print(f"ran {name}", flush=True)


def serve(path: str) -> None:
    """Run the commands that come over a socket, each in a fork. It answers with the process, and then its status."""
    for name in ("matplotlib.pyplot", "telic.cli.main"):
        importlib.import_module(name)
    tiny_model()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                text, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if os.fork() == 0:
                    listener.close()
                    _run_in_fork(connection, json.loads(text), files)
                for file in files:
                    os.close(file)


def _run_in_fork(connection: socket.socket, asked: dict[str, Any], files: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    connection.sendall(f"{os.getpid()}\n".encode())
    connection.sendall(f"{run_command(asked['arguments'])}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        run_pieces()
