"""Phrasing: contractions, and `I` or `we`, changed in English sentences."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["contracted", "expanded", "in_person", "person_of"]

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


def _patterns() -> tuple[list[tuple[re.Pattern[str], str]], list[tuple[re.Pattern[str], str]]]:
    shorten, lengthen = [], []
    for full, short in _PAIRS:
        after = rf"(?!{_NO_CONTRACTION.pattern})" if full.endswith(("have", "is", "are", "am", "will", "would")) else ""
        shorten.append((re.compile(rf"\b{full}\b{after}", re.IGNORECASE), short))
        lengthen.append(
            (re.compile(rf"\b{short.replace(chr(39), chr(91) + chr(39) + '’]')}(?!\w)", re.IGNORECASE), full)
        )
    return shorten, lengthen


_SHORTEN, _LENGTHEN = _patterns()
_I_WORDS = re.compile(r"\b(i am|i was|i'm|i'll|i've|i'd|myself|mine|me|my|i)\b(?!['’])", re.IGNORECASE)
_WE_WORDS = re.compile(r"\b(we are|we were|we're|we'll|we've|we'd|ourselves|ours|us|our|we)\b(?!['’])", re.IGNORECASE)


def contracted(text: str) -> str:
    """Return a text with contractions where English has them."""
    return _replaced(text, _SHORTEN)


def expanded(text: str) -> str:
    """Return a text without contractions."""
    return _replaced(text, _LENGTHEN)


def person_of(text: str) -> Literal["I", "we"] | None:
    """Return in which person a text speaks of its author; None if it does not, or in both."""
    single, plural = _I_WORDS.search(text) is not None, _WE_WORDS.search(text) is not None
    return None if single == plural else "I" if single else "we"


def in_person(text: str, person: str) -> str:
    """Return a text that speaks of its author as `I` or as `we`."""
    pattern, words = (_I_WORDS, _TO_WE) if person == "we" else (_WE_WORDS, _TO_I)

    def change(match: re.Match[str]) -> str:
        word = words[match[1].lower().replace("’", "'")]
        starts = not text[: match.start()].strip() or text[: match.start()].rstrip()[-1:] in ".!?:"
        return word[0].upper() + word[1:] if starts else word

    return _LARGE_I.sub("I", pattern.sub(change, text))


def _replaced(text: str, pairs: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, other in pairs:
        text = pattern.sub(lambda match, other=other: _like(match[0], other), text)  # type: ignore[misc]
    return text


def _like(was: str, other: str) -> str:
    """Begin a word with a capital where the other one did."""
    return (
        other[0].upper() + other[1:] if was[0].isupper() else other[0].lower() + other[1:] if other[0] != "I" else other
    )
