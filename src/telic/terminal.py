"""Text of others on a terminal: it may not move the cursor, change the title, or write over what stands there."""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["printable", "printable_pieces"]

# Control characters become their pictures, such as ␛; a new line and a tab stay.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES |= {0x7F: "␡"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")


def printable(text: str) -> str:
    """Return a text whose control characters are shown, not obeyed; only new lines and tabs stay."""
    return text.translate(_PICTURES)


def printable_pieces(pieces: Generator[str, None, None]) -> Generator[str, None, None]:
    """Yield the pieces of a stream as `printable` returns them; the stream is closed with this one."""
    try:
        for piece in pieces:
            yield printable(piece)
    finally:
        pieces.close()
