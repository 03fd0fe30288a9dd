"""Quoted text: where a message stops and the earlier messages in it begin.

mail-parser-reply knows the same headers, but its patterns need more than a minute for 20,000 hostile characters. These
look at one line, or at two, at a time.
"""

from __future__ import annotations

import re

__all__ = ["split_quoted"]

_ATTRIBUTION = re.compile(
    r"(?:>\s?)*(?:on|am|le|el|il|op|em|den|d\.|w dniu)\s.{4,300}"
    r"(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|escreveu|skrev|napisał\(?a?\)?)(?:\s.{0,100})?\s?:",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(
    r"\s*(?:-{2,}\s*(?:original message|original-nachricht|ursprüngliche nachricht|forwarded message|"
    r"weitergeleitete nachricht|message d'origine|mensaje original)\s*-{2,}|begin forwarded message:|_{25,})\s*",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"[*\s>]{0,4}(?:from|sent|to|subject|date|cc|von|gesendet|an|betreff|datum|de|envoyé|à|objet|para|asunto|enviado)\s?:\*?\s",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"\s{0,3}>")
_SIGNATURE = re.compile(r"--\s?")


def split_quoted(text: str) -> tuple[str, str]:
    """Split a message into what its author wrote and what is quoted in it. Takes time linear in the text's length.

    Answers between the lines of a quotation are the author's. What follows a line `-- ` is a signature and neither.
    """
    lines = text.split("\n")
    own: list[str] = []
    quoted: list[str] = []
    index = 0
    while index < len(lines):
        if _begins_history(lines, index):
            rest = lines[index:]
            # Below "On ... wrote:", lines without ">" are answers between the lines if there are lines with one.
            between = _ATTRIBUTION.match(_joined(rest)) and any(map(_QUOTE.match, rest))
            quoted += rest if not between else [line for line in rest if _QUOTE.match(line)]
            own += _between(rest) if between else []
            break
        if _QUOTE.match(lines[index]):
            quoted.append(lines[index])
        elif _SIGNATURE.fullmatch(lines[index]) and own:
            break
        else:
            own.append(lines[index])
        index += 1
    return _tidy(own), _tidy([re.sub(r"^\s{0,3}>\s?", "", line) for line in quoted])


def _begins_history(lines: list[str], index: int) -> bool:
    line = lines[index]
    if _SEPARATOR.fullmatch(line) or _ATTRIBUTION.fullmatch(line.strip()[:500]):
        return True
    if _HEADER.match(line) and line.lstrip(" *>")[:4].lower() in ("from", "von:", "von ", "de: ", "de :"):
        return sum(1 for one in lines[index : index + 6] if _HEADER.match(one)) >= 3
    return _ATTRIBUTION.fullmatch(_joined(lines[index : index + 2])) is not None and bool(line.strip())


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines[:2])[:500].strip()


def _between(rest: list[str]) -> list[str]:
    """Return the lines below an attribution that are answers between quoted lines."""
    first = next(i for i, line in enumerate(rest) if _QUOTE.match(line))
    answers = []
    for line in rest[first:]:
        if _SIGNATURE.fullmatch(line) or _ATTRIBUTION.fullmatch(line.strip()[:500]):
            break
        if not _QUOTE.match(line):
            answers.append(line)
    return answers


def _tidy(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()
