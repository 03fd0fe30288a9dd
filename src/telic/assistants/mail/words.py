"""Bytes and encoded words to text, and text without characters that nobody sees."""

from __future__ import annotations

import unicodedata
from email.errors import HeaderParseError
from email.header import decode_header

__all__ = ["decoded", "decoded_words", "header_line", "visible"]

JOINERS = "\u200c\u200d"
"""Invisible characters that belong to scripts and to emoji."""


def decoded(data: bytes, charset: str | None) -> str:
    """Decode bytes; a wrong or unknown charset costs single characters, and raises nothing."""
    for name in (charset, "utf-8"):
        try:
            return data.decode(name or "utf-8")
        except (LookupError, UnicodeError, ValueError):
            continue
    return data.decode("cp1252" if charset is None else "utf-8", "replace")


def decoded_words(header: str) -> str:
    """Decode the encoded words of a header (RFC 2047); a broken one stays as it is."""
    try:
        pieces = decode_header(header)
    except (HeaderParseError, ValueError, LookupError):
        return header
    return "".join(decoded(text, charset) if isinstance(text, bytes) else text for text, charset in pieces)


def visible(text: str) -> tuple[str, int]:
    """Return a text without invisible and control characters, and how many there were; new lines and tabs stay."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    kept = "".join(char for char in plain if char in "\n\t" or char in JOINERS or not _is_hidden(char))
    return kept, len(plain) - len(kept)


def header_line(text: str, longest: int = 400) -> str:
    """Return a text on one line, of visible characters, shortened to `longest`: it cannot begin another header."""
    line = " ".join(visible(text)[0].split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")
