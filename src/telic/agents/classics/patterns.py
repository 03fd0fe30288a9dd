"""Words, clauses, and patterns over them, shared by the classics.

A pattern is a text such as `* i @want *`: `*` matches any number of words, `a/b` one of two words, and `@group` a word
of a group. The matches of `*` and `@group` are numbered from 1, in order.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

__all__ = ["MAX_REPLY", "Pattern", "clauses", "load_script", "normalise_words", "tidy"]

MAX_REPLY = 800
"""Maximum number of characters of a reply."""
MAX_TEXT = 4000
"""Characters of an utterance that are parsed."""
MAX_CLAUSES = 40
"""Clauses of an utterance that are parsed."""
MAX_WORDS = 80
"""Words of a clause that are parsed; it bounds the work."""


class Pattern:
    """A pattern over words.

    Args:
        text: the pattern; see the module.
        groups: the words of each group.

    Raises:
        KeyError: the pattern names an unknown group.
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
        """Number of numbered parts."""
        return len(self._numbered)

    def match(self, words: Sequence[str]) -> list[list[str]] | None:
        """Match words, ignoring case.

        Returns:
            The words of each numbered part, with the earliest and shortest match; None if the pattern does not match.
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
    """Split a text into clauses, and clauses into words, keeping their case.

    Args:
        text: an utterance, of which the first `MAX_TEXT` characters are parsed.
        expand: replacements of words, such as `i am` for `i'm`.
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


def normalise_words(text: str) -> str:
    """Return the words of a text in lower case, to detect repetitions."""
    return " ".join(word for clause in clauses(text) for word in clause).lower()


def tidy(text: str) -> str:
    """Return a reply with normalised spaces, a capital first letter, and at most `MAX_REPLY` characters."""
    text = re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))
    if len(text) > MAX_REPLY:
        text = text[: MAX_REPLY - 4].rsplit(" ", 1)[0].rstrip(" ,;:.") + " ..."
    # The capital of a letter such as ß is two letters, which could exceed the length.
    return text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text


def load_script(name: str) -> dict[str, Any]:
    """Load a script that ships with the classics."""
    path = resources.files("telic.agents.classics") / "data" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


_CLAUSE = re.compile(r"[.,;:!?()\n\"]+|\s[-–—]+\s")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
