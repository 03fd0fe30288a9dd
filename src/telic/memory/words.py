"""Words and stems of a text, sentences with their places, and which texts are instructions in disguise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["content_stems", "estimated_tokens", "is_instruction", "key_of", "one_line", "sentence_spans", "stem"]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ENDINGS = re.compile(r"(?:'s|’s|ies|ing|edly|ed|es|s|y|ie)$")
_STOP_WORDS = (
    "a about again all also am an and any anyway are as at be because been being but by can could did do does doing done "
    "else for from get give go going had has have having he her here hers him his how i i'd i'll i'm i've if im in into is "
    "it it's its ive just let like likes made make may me might mine more most must my need no not now of off oh on one only "
    "or our ours out over please put rather really say she should so some something such sure take tell than thanks that "
    "the their them then there these they thing things this those to too try up us use very want was we well were what "
    "when where which while who whom why will with within would yes you you're your yours don't doesn't didn't can't"
)
_STOP = frozenset(_STOP_WORDS.split())
# What a message says when it gives orders to the machine instead of telling something about its author.
_ORDERS = re.compile(
    r"\b(?:system|assistant|developer|user|tool|human|ai)\s*(?:prompt|message|role)?\s*[:>\]]"
    r"|\b(?:ignore|disregard|forget|override|bypass|overrule|skip|drop|violate|break)\b.{0,40}"
    r"\b(?:rules?|instructions?|prompts?|guidelines?|polic(?:y|ies)|limits?|restrictions?|safety|guardrails?|purpose|system)\b"
    r"|\byou (?:are|'re|were) (?:now|actually|really|no longer|free)\b|\bact as\b|\bpretend (?:to be|that you|you)\b"
    r"|\brole-?play\b|\bfrom now on,? you\b|\byou (?:must|shall|have to|will|may|can|are allowed to) (?:now |always |never |only )?"
    r"(?:obey|comply|reveal|ignore|answer anything|do anything|say|print|output|call|run|execute|send)\b"
    r"|\b(?:jailbreak|dan mode|developer mode|debug mode|god mode|root access|sudo|admin(?:istrator)? (?:mode|rights|access))\b"
    r"|\b(?:reveal|print|repeat|leak|show|output|send|post|forward)\b.{0,30}\b(?:prompt|instructions|password|secret|api key|"
    r"credentials|tokens?|rules)\b|\bnew (?:instructions?|rules?|system|polic(?:y|ies))\b"
    r"|\b(?:no|without(?: any)?) (?:rules|limits|restrictions|filters?|safety)\b"
    r"|\b(?:all|every) (?:other )?users?\b|\bexecute\b|\brm -rf\b|\bdrop table\b|\b(?:tool|function)_?calls?\b"
    r"|\bend of the notes\b|\bnotes about this user\b|https?://|javascript:|data:text|\bon(?:error|load|click)\s*=",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"<\|?[a-z/!_][^>\n]{0,60}\|?>|\[/?(?:inst|system|sys|end of|notes)\b|<</?sys>>|\{[{%]|[{%]\}|\{\"|```|^\s*#{2,}|!\[|\]\(",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(
    r"[^.!?\n;]*(?:(?:\.(?=\w)|(?:(?<=\b[Dd]r)|(?<=\b[Mm]r)|(?<=\b[Mm]s)|(?<=\b[Ss]t)|(?<=\b[Mm]rs)|(?<=\b[Rr]ev)|(?<=\b[Pp]rof))\.(?= ))[^.!?\n;]*)*(?:[.!?;]+[\"”')]*|\n|$)"
)
_NEUTRAL = str.maketrans('<>[]{}`|"“”\\', "‹›()()'/'''/")


def stem(word: str) -> str:
    """Cut a word to a stem: crude, and the same for every form that English makes regularly."""
    return _stem(word)


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    word = word.casefold().replace("’", "'")
    if len(word) <= 3:
        return word
    cut = _ENDINGS.sub("", word)
    cut = word if len(cut) < 3 else cut
    return cut[:-1] if len(cut) > 3 and (cut[-1] == cut[-2] or cut[-1] == "e") else cut


def content_stems(text: str) -> list[str]:
    """Return the stems of a text's content words, in order."""
    return [_stem(word) for word in _WORD.findall(text) if word.casefold().replace("’", "'") not in _STOP]


def key_of(text: str) -> str:
    """Return what two ways to write one value have in common: their stems, in order."""
    stems = content_stems(text) or [word.casefold() for word in _WORD.findall(text)]
    return " ".join(stems) or text.strip().casefold()


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the sentences of a text begin and end, without the space around them."""
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if end > start:
            yield start, end


def is_instruction(text: str) -> bool:
    """Whether a text gives orders to the machine, or contains markup: it is never used as a note on its author."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return any(_ORDERS.search(one) for one in (flat, text)) or _MARKUP.search(text) is not None


def mention(phrase: str) -> str:
    """Return a pattern for a phrase, in any spacing, in the singular or the plural."""
    *first, last = map(re.escape, phrase.split())
    last = re.sub(r"(?<=\w{3})s$", "", last) + r"(?:s|es)?"
    return r"(?<!\w)" + r"\s+".join([*first, last]) + r"(?!\w)"


def one_line(text: str, longest: int = 400) -> str:
    """Write a text as one line that no chat template and no browser takes for markup; shorten it to `longest`."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * longest])
    line = " ".join(shown.translate(_NEUTRAL).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer, three bytes each. Long numbers may have more."""
    return -(-len(text.encode("utf-8", "replace")) // 3)
