"""What a draft may say: nothing that neither the user nor, in its facts, the message said."""

from __future__ import annotations

import re
from collections.abc import Iterable

from telic.memory.words import content_stems, is_instruction

__all__ = ["left_out", "repeats", "unsupported"]

_NUMBER = re.compile(r"[$€£]?\d[\d.,:]*(?:\s?(?:%|am|pm|k|m)\b)?", re.IGNORECASE)
_DATE = re.compile(
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:january|february|march|april|june|july|august|september|october|"
    r"november|december)\b|\b(?:today|tonight|tomorrow|yesterday|next week|this week|end of day|eod|noon|asap)\b",
    re.IGNORECASE,
)
_PROMISE = re.compile(
    r"[^.!?\n]*\b(?:i|we)(?:['’]ll| will| shall| am going to| are going to|['’]m going to| promise| guarantee| agree| accept|"
    r" confirm| approve| commit| can (?:confirm|do|send|make))\b[^.!?\n]*",
    re.IGNORECASE,
)
_YES = re.compile(r"\b(?:yes|sure|of course|absolutely|sounds good|works for me|happy to|no problem)\b", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+|www\.\S+|!\[|\]\(|[\w.+-]+@[\w-]+\.\w+", re.IGNORECASE)
_TOKEN = re.compile(r"\{\{?|\}\}?|<\|?|\|>|\[(?:name|your|insert)", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
SAID = 0.6
"""Share of the user's content words that a draft has to have."""
SHARED = 0.5
"""Share of a promise's content words that the user must have used."""


def unsupported(draft: str, say: str, facts: Iterable[str] = (), signature: str = "") -> list[str]:
    """Return what a draft says without anybody having said it, in words; empty for a draft that may be shown.

    Args:
        draft: what a model wrote.
        say: what the user wants to say: the only source of promises, dates and agreement.
        facts: other texts whose numbers and names may be repeated, such as the message.
        signature: the closing and the name.
    """
    found = []
    known = " ".join([say, *facts])
    body = draft.replace(signature, " ") if signature else draft
    for pattern, label, source in (
        (_NUMBER, "a number", known),
        (_DATE, "a date", say),
        (_LINK, "a link or an address", say),
    ):
        allowed = {_plain(match[0]) for match in pattern.finditer(source)}
        found += [f"{label}: {match[0]!r}" for match in pattern.finditer(body) if _plain(match[0]) not in allowed]
    own = set(content_stems(say))
    for match in _PROMISE.finditer(body):
        stems = set(content_stems(match[0]))
        if stems and len(stems & own) < SHARED * len(stems):
            found.append(f"a promise: {' '.join(match[0].split())!r}")
    if _YES.search(body) and not _agrees(say):
        found.append(f"an agreement: {_YES.search(body)[0]!r}")  # type: ignore[index]
    if _TOKEN.search(body):
        found.append("a token of a template")
    if is_instruction(body):
        found.append("an instruction to a machine")
    return found


def left_out(draft: str, sentences: Iterable[str]) -> list[str]:
    """Return what the user wanted to say and a draft does not: sentences without most of their words or a number."""
    stems, numbers = set(content_stems(draft)), {_plain(match[0]) for match in _NUMBER.finditer(draft)}
    found = []
    for sentence in sentences:
        own = set(content_stems(sentence))
        wanted = {_plain(match[0]) for match in _NUMBER.finditer(sentence)}
        if len(own & stems) < SAID * len(own) or not wanted <= numbers:
            found.append(f"it leaves out: {sentence!r}")
    return found


def repeats(sentence: str, source: str, said: str, in_a_row: int) -> bool:
    """Whether a sentence of a draft copies a text: so many words in a row of it that the user has not said.

    Args:
        sentence: of a draft that a model wrote.
        source: the message, or what the model was told.
        said: what the user wants to say.
        in_a_row: number of words from which it is a copy.
    """
    return bool((_runs(sentence, in_a_row) & _runs(source, in_a_row)) - _runs(said, in_a_row))


def _runs(text: str, length: int) -> set[tuple[str, ...]]:
    words = _WORDS.findall(text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def _agrees(say: str) -> bool:
    return (
        _YES.search(say) is not None
        or re.search(r"\b(?:agree|accept|confirm|works|glad|approve|ok(?:ay)?)\b", say, re.I) is not None
    )


def _plain(text: str) -> str:
    return re.sub(r"[\s,]", "", text.lower()).rstrip(".:")
