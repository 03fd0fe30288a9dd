"""Lists of words that come with Telic."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

__all__ = ["word_list"]


@cache
def word_list(name: str) -> frozenset[str]:
    """Return a list of `data/words.toml`."""
    text = (resources.files("telic.feedback") / "data" / "words.toml").read_text(encoding="utf-8")
    return frozenset(str(tomllib.loads(text)[name]).split())
