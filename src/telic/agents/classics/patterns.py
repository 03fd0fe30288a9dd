"""What the classics share: words, clauses, and patterns over them.

A pattern is a text such as `* i @want *`: `*` stands for any words or none, `a/b` for either word, `@group` for any
word of a group. What `*` and `@group` stand for is numbered from 1, in their order.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

__all__ = ["MAX_REPLY", "Pattern", "clauses", "load", "plain", "tidy"]

MAX_REPLY = 800
"""Characters of a reply; the longest that a classic says."""
MAX_TEXT = 4000
"""Characters of an utterance that are read."""
MAX_CLAUSES = 40
"""Clauses of an utterance that are read."""
MAX_WORDS = 80
"""Words of a clause that are read: enough for any sentence, and a bound on the work."""


class Pattern:
    """A pattern over words.

    Args:
        text: as the module describes.
        groups: words of each group.

    Raises:
        KeyError: there is no such group.
    """

    def __init__(self, text: str, groups: Mapping[str, Sequence[str]] | None = None) -> None:
        self.text = text
        self._parts: list[frozenset[str] | None] = []
        self._numbered: list[int] = []
        for part in text.split():
            if part == "*" or part.startswith("@"):
                self._numbered.append(len(self._parts))
            if part == "*":
                self._parts.append(None)
            elif part.startswith("@"):
                self._parts.append(frozenset((groups or {})[part[1:]]))
            else:
                self._parts.append(frozenset(part.split("/")))

    @property
    def parts(self) -> int:
        """How many parts are numbered."""
        return len(self._numbered)

    def match(self, words: Sequence[str]) -> list[list[str]] | None:
        """What the numbered parts stand for, as early and as short as can be; None where it does not fit.

        Words are compared without regard to case and given back as they are.
        """
        lower = [word.lower() for word in words]
        dead: set[tuple[int, int]] = set()
        ends: list[int] = []

        def fits(part: int, at: int) -> bool:
            if (part, at) in dead:
                return False
            if part == len(self._parts):
                return at == len(lower)
            allowed = self._parts[part]
            if allowed is not None:
                steps = range(1, 2) if at < len(lower) and lower[at] in allowed else range(0)
            else:
                steps = range(len(lower) - at + 1)
            for step in steps:
                ends.append(at + step)
                if fits(part + 1, at + step):
                    return True
                ends.pop()
            dead.add((part, at))
            return False

        if not fits(0, 0):
            return None
        starts = [0, *ends]
        return [list(words[starts[index] : ends[index]]) for index in self._numbered]


def clauses(text: str, expand: Mapping[str, str] | None = None) -> list[list[str]]:
    """The words of each clause of a text, in their own case.

    Args:
        text: what was said; only its first few thousand characters are read.
        expand: what to write instead of a word, such as `i am` for `i'm`.
    """
    found: list[list[str]] = []
    for clause in _CLAUSE.split(text[:MAX_TEXT].replace("’", "'")):
        words: list[str] = []
        for word in _WORD.findall(clause):
            instead = (expand or {}).get(word.lower())
            words += [word] if instead is None else instead.split()
        if words and len(found) < MAX_CLAUSES:
            found.append(words[:MAX_WORDS])
    return found


def plain(text: str) -> str:
    """A text reduced to its words in lower case, to tell whether something was said before."""
    return " ".join(word for clause in clauses(text) for word in clause).lower()


def tidy(text: str) -> str:
    """A reply as it is said: spaces in order, a capital first, no longer than `MAX_REPLY`."""
    text = re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))
    if len(text) > MAX_REPLY:
        text = text[: MAX_REPLY - 4].rsplit(" ", 1)[0].rstrip(" ,;:.") + " ..."
    # Of a letter such as ß the capital is two letters, which could exceed the length.
    return text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text


def load(name: str) -> dict[str, Any]:
    """Read a script that ships with the classics."""
    path = resources.files("telic.agents.classics") / "data" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


_CLAUSE = re.compile(r"[.,;:!?()\n\"]+|\s[-–—]+\s")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
