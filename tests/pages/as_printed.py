"""Runs what the documentation prints, with a tiny random model in place of the bundled one.

python as_printed.py telic ARGUMENTS...      # the command `telic`
python as_printed.py python                  # pieces of Python, whose files are named on standard input, one a line

The words are nonsense, but every setting, file and name is what a reader gets. TELIC_PAGES_MODEL=smollm2 keeps the
bundled model.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import telic.models
from telic.models import Model


def tiny_in_place_of_the_bundled_model() -> None:
    """Let `load("smollm2")` give a tiny random model."""
    from tests.models.tiny import local

    load = telic.models.load

    def replaced(name: str, **options: Any) -> Model:
        return local("llama") if name == "smollm2" else load(name, **options)

    for module in (telic.models, telic.models.catalog):
        setattr(module, "load", replaced)  # noqa: B010 - a type checker refuses the assignment


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if os.environ.get("TELIC_PAGES_MODEL") != "smollm2":
        tiny_in_place_of_the_bundled_model()
    if kind == "telic":
        from telic.cli.main import main

        main(arguments)
    else:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for name in map(str.strip, sys.stdin):
            exec(compile(Path(name).read_text(encoding="utf-8"), name, "exec"), namespace)
            print(f"ran {name}", flush=True)
