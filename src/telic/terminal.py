"""Text of others on a terminal: it may not move the cursor, change the title, or write over what stands there."""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["printable", "printable_pieces", "reviewable"]

# Control characters become their pictures, such as ␛; a new line and a tab stay.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES |= {0x7F: "␡"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
# Marks of direction, separators of lines that no editor shows as such, and characters of no width; some are letters, of
# which a name may consist (U+3164).
_UNSEEN = (0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0x200B, 0x2010))
_UNSEEN += (*range(0x2028, 0x202F), *range(0x2060, 0x2070), 0x3164, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC))
_UNSEEN += tuple(range(0xE0000, 0xE0080))
_NAMED = {code: f"<U+{code:04X}>" for code in _UNSEEN}


def printable(text: str) -> str:
    """Return a text whose control characters are shown, not obeyed; only new lines and tabs stay."""
    return text.translate(_PICTURES)


def reviewable(text: str) -> str:
    """Return code for a person to review: `printable`, and characters that reorder or hide it are named.

    Otherwise, code can be shown in another order than it runs (CVE-2021-42574).
    """
    return printable(text).translate(_NAMED)


def printable_pieces(pieces: Generator[str, None, None]) -> Generator[str, None, None]:
    """Yield the pieces of a stream as `printable` returns them; the stream is closed with this one."""
    try:
        for piece in pieces:
            yield printable(piece)
    finally:
        pieces.close()
