"""Phrasing: contractions, and `I` or `we`, changed in English sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

__all__ = ["contracted", "contracts", "expanded", "in_person", "person_of"]

_PAIRS = (
    ("I am", "I'm"), ("I will", "I'll"), ("I have", "I've"), ("I would", "I'd"), ("we are", "we're"), ("we will", "we'll"),
    ("we have", "we've"), ("we would", "we'd"), ("you are", "you're"), ("it is", "it's"), ("that is", "that's"),
    ("they are", "they're"), ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"), ("is not", "isn't"),
    ("are not", "aren't"), ("was not", "wasn't"), ("cannot", "can't"), ("could not", "couldn't"), ("will not", "won't"),
    ("would not", "wouldn't"), ("have not", "haven't"), ("has not", "hasn't"), ("let us", "let's"),
)  # fmt: skip
_NO_CONTRACTION = re.compile(r"(?:\s+(?:to|a|an|no|the)\b|\s*[,.?!;:]|\s*$)", re.IGNORECASE)
"""`I have to` and `it is.` stay."""
_TO_WE = {
    "i": "we", "i'm": "we're", "i'll": "we'll", "i've": "we've", "i'd": "we'd", "me": "us", "my": "our", "mine": "ours",
    "myself": "ourselves", "i am": "we are", "i was": "we were",
}  # fmt: skip
_TO_I = {we: i for i, we in _TO_WE.items()} | {"us": "me"}
_LARGE_I = re.compile(r"\bi(?=\b|')")


def _either(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(words) + r")(?!\w)", re.IGNORECASE)


_KEPT_BEFORE = ("have", "is", "are", "am", "will", "would")
_SHORTEN = _either(
    f"{full}(?!{_NO_CONTRACTION.pattern})" if full.endswith(_KEPT_BEFORE) else full for full, _ in _PAIRS
)
_LENGTHEN = _either(short.replace("'", "['’]") for _, short in _PAIRS)
_SHORT = {full.lower(): short for full, short in _PAIRS}
_FULL = {short.lower(): full for full, short in _PAIRS}
_I_WORDS = re.compile(r"\b(i am|i was|i'm|i'll|i've|i'd|myself|mine|me|my|i)\b(?!['’])", re.IGNORECASE)
_WE_WORDS = re.compile(r"\b(we are|we were|we're|we'll|we've|we'd|ourselves|ours|us|our|we)\b(?!['’])", re.IGNORECASE)


@lru_cache(maxsize=4096)
def contracted(text: str) -> str:
    """Return a text with contractions where English has them."""
    return _SHORTEN.sub(lambda match: _like(match[0], _SHORT[match[0].lower()]), text)


@lru_cache(maxsize=4096)
def expanded(text: str) -> str:
    """Return a text without contractions."""
    return _LENGTHEN.sub(lambda match: _like(match[0], _FULL[match[0].lower().replace("’", "'")]), text)


def person_of(text: str) -> Literal["I", "we"] | None:
    """Return in which person a text mostly speaks of its author; None if it does not, or in both alike."""
    single, plural = len(_I_WORDS.findall(text)), len(_WE_WORDS.findall(text))
    return None if single == plural else "I" if single > plural else "we"


def contracts(text: str) -> bool | None:
    """Return whether a text mostly has contractions where English has them; None if there is no such place."""
    short, full = len(_LENGTHEN.findall(text)), len(_SHORTEN.findall(text))
    return None if short == full else short > full


@lru_cache(maxsize=4096)
def in_person(text: str, person: str) -> str:
    """Return a text that speaks of its author as `I` or as `we`."""
    pattern, words = (_I_WORDS, _TO_WE) if person == "we" else (_WE_WORDS, _TO_I)

    def change(match: re.Match[str]) -> str:
        word = words[match[1].lower().replace("’", "'")]
        starts = not text[: match.start()].strip() or text[: match.start()].rstrip()[-1:] in ".!?:"
        return word[0].upper() + word[1:] if starts else word

    return _LARGE_I.sub("I", pattern.sub(change, text))


def _like(was: str, other: str) -> str:
    """Begin a word with a capital where the other one did."""
    return (
        other[0].upper() + other[1:] if was[0].isupper() else other[0].lower() + other[1:] if other[0] != "I" else other
    )
