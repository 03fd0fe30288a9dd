"""Edits by exact replacement, and the places that nearly match."""

from __future__ import annotations

from difflib import SequenceMatcher

from telic.errors import WorkspaceError

__all__ = ["number_lines", "replace_once", "split_lines"]

MOST_LINES = 5000
"""Lines of a file above which the nearest place is not looked for."""


def replace_once(path: str, content: str, old: str, new: str) -> str:
    """Replace the only place where a text occurs.

    Raises:
        WorkspaceError: the text is empty, is the same as the new one, or does not occur exactly once. The message says
            how often and where it occurs, or shows the nearest place.
    """
    if "\r\n" in content and "\r\n" not in old:
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    if not old:
        raise WorkspaceError("the text to replace is empty; quote the lines that are to change")
    if old == new:
        raise WorkspaceError("the new text is the same as the old one")
    count = content.count(old)
    if count == 1:
        return content.replace(old, new, 1)
    if count > 1:
        lines = ", ".join(str(content.count("\n", 0, at) + 1) for at in _places(content, old))
        raise WorkspaceError(
            f"the text occurs {count} times in {path!r} (lines {lines}); quote more of the lines around it"
        )
    raise WorkspaceError(f"the text does not occur in {path!r}. {_nearest(content, old)}")


def split_lines(content: str) -> list[str]:
    """Return the lines of a text as git and editors count them, without their ends."""
    return [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")] if content else []


def number_lines(content: str, start: int = 1, end: int | None = None) -> str:
    """Return lines with their numbers, counted from 1; `end` is included."""
    lines = split_lines(content)
    last = len(lines) if end is None else min(end, len(lines))
    return "\n".join(f"{number:>5}  {lines[number - 1]}" for number in range(start, last + 1))


def _places(content: str, old: str, most: int = 8) -> list[int]:
    places, at = list[int](), content.find(old)
    while at >= 0 and len(places) < most:
        places.append(at)
        at = content.find(old, at + 1)
    return places


def _nearest(content: str, old: str) -> str:
    """Describe the lines that are most like a text."""
    lines, wanted = split_lines(content), split_lines(old)
    if not lines or len(lines) > MOST_LINES:
        return "Read the file again, and quote it exactly."
    size = min(len(wanted), len(lines))
    scores = {start: _likeness(lines[start : start + size], wanted) for start in range(len(lines) - size + 1)}
    best = max(scores, key=lambda start: scores[start])
    if scores[best] < 0.3:
        return "Nothing in the file is like it; read the file again."
    return f"The nearest lines are:\n{number_lines(content, best + 1, best + size)}"


def _likeness(lines: list[str], wanted: list[str]) -> float:
    """The mean likeness of lines in pairs. The cheap upper bound comes first, as most pairs are nothing alike."""
    total = 0.0
    for line, other in zip(lines, wanted, strict=False):
        matcher = SequenceMatcher(None, line.strip(), other.strip(), autojunk=False)
        total += matcher.ratio() if matcher.quick_ratio() > 0.3 else 0.0
    return total / max(len(wanted), 1)
