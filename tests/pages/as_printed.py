"""Runs what the documentation prints, with a tiny random model in place of the bundled one.

python as_printed.py telic ARGUMENTS...      # the command `telic`
python as_printed.py python                  # pieces of Python, whose files are named on standard input, one a line

The words are nonsense, but every setting, file and name is what a reader gets. A minute of `--minutes` is a second, as
the tiny model takes about a sixtieth of the time. TELIC_PAGES_MODEL=smollm2 keeps the bundled model and the minutes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import telic.models
import telic.progress.deadline
from telic.models import Model


ENDING = 5.0
"""Added to the logit of the token that ends a reply, so that replies have about a dozen tokens."""


def tiny_in_place_of_the_bundled_model() -> None:
    """Let `load("smollm2")` give a tiny random model with short replies and fast minutes."""
    load = telic.models.load

    def replaced(name: str, **options: Any) -> Model:
        return _tiny() if name == "smollm2" else load(name, **options)

    for module in (telic.models, telic.models.catalog):
        setattr(module, "load", replaced)  # noqa: B010 - a type checker refuses the assignment
    telic.progress.deadline.CLOCK = lambda: 60 * time.monotonic()


def _tiny() -> Model:
    import torch

    from tests.models.tiny import EOS, local

    model = local("llama", context=8192)
    bias = torch.zeros(model.model.config.vocab_size)
    bias[EOS] = ENDING
    model.model.get_output_embeddings().bias = torch.nn.Parameter(bias, requires_grad=False)
    return model


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
