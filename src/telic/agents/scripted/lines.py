"""Ready-made utterances of the scripts, by game and kind of act."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from random import Random

__all__ = ["choose_line"]


def choose_line(game: str, kind: str, rng: Random) -> str:
    """Return a random utterance for a kind of act."""
    return rng.choice(_load_lines(game)[kind])


@cache
def _load_lines(game: str) -> Mapping[str, list[str]]:
    path = resources.files("telic.games") / "data" / f"{game}_lines.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
