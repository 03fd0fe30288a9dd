"""Regular expressions of a file's author, with a bound on their time.

A pattern such as `(a+)+$` takes exponential time on some answers, and nobody reads every pattern of a file that
somebody sent. So these patterns run on the `regex` package, which stops at a timeout. Telic's own need none.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import regex

from telic.errors import JudgeError

__all__ = ["SECONDS", "compile_pattern", "count_matches", "nfkc", "search_pattern"]

SECONDS = 1.0
"""Longest time that a pattern may take for an answer."""
REPETITIONS = 100_000
"""Largest product of nested counts, such as 1,000 for `(a{10}){100}`: the compiled pattern has a copy for each."""
_MARKS = 30
"""Largest number of combining marks in a row, as in the Stream-Safe Text Format of Unicode (UAX #15)."""


def nfkc(text: str) -> str:
    """Return a text in NFKC. Long runs of combining marks are broken up: sorting them takes quadratic time."""
    if not text.isascii():
        text = _LONG_RUN.sub("\\g<0>\u034f", text)
    return unicodedata.normalize("NFKC", text)


_LONG_RUN = regex.compile(rf"\p{{M}}{{{_MARKS}}}(?=\p{{M}})")


def compile_pattern(text: str, *, case: bool) -> Any:
    """Compile a pattern of a file.

    Args:
        text: a regular expression in Python's syntax; `^` and `$` match at every line.
        case: whether upper and lower case differ.

    Raises:
        JudgeError: it is no regular expression, or its counts are too large.
    """
    try:
        if _nested_counts(text) > REPETITIONS:
            raise JudgeError(f"argument is {text!r}; expected counts whose product is at most {REPETITIONS:,}")
        return regex.compile(text, regex.MULTILINE | (0 if case else regex.IGNORECASE))
    except (regex.error, OverflowError, RecursionError) as error:
        raise JudgeError(f"argument is {text!r}; expected a regular expression: {error}") from error


def search_pattern(pattern: Any, text: str, *, full: bool = False) -> int | None:
    """Return where a pattern of a file matches, or None.

    Args:
        pattern: from `compile_pattern`.
        text: the text.
        full: whether the pattern has to match the whole text.

    Raises:
        TimeoutError: it takes longer than `SECONDS`.
    """
    found = (pattern.fullmatch if full else pattern.search)(text, timeout=SECONDS)
    return None if found is None else int(found.start())


def count_matches(pattern: Any, text: str) -> int:
    """Count the matches of a pattern of a file that do not overlap.

    Raises:
        TimeoutError: it takes longer than `SECONDS`.
    """
    return sum(1 for _ in pattern.finditer(text, timeout=SECONDS))


def _nested_counts(text: str) -> int:
    """Return the largest product of counts along the nesting of a pattern's groups."""
    levels, last = [1], 1
    for part in _PART.finditer(text):
        if part[0] == "(":
            levels.append(1)
            last = 1
        elif part[0] == ")" and len(levels) > 1:
            last = levels.pop()
            levels[-1] = max(levels[-1], last)
        elif part["count"]:
            last *= max(1, int(part["count"][:9]))
            levels[-1] = max(levels[-1], last)
        else:
            last = 1
    return levels[0]


_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?P<count>\d+)(?:,\d*)?\}|.", re.DOTALL)
