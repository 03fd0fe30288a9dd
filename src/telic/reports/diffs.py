"""Patches for a person to review: a unified diff, line by line, each with what kind of line it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from telic.reports.html import Html, element
from telic.terminal import reviewable

__all__ = ["DiffLine", "diff_lines", "shown_diff"]

DiffLine = Literal["file", "hunk", "added", "removed", "same"]
"""The kinds of lines, which are also their CSS classes."""
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_BY_SIGN: dict[str, DiffLine] = {"+": "added", "-": "removed"}


def diff_lines(patch: str) -> Iterator[tuple[DiffLine, str]]:
    """Yield the lines of a unified diff, without what would hide or reorder them.

    A line is told by its place in its hunk: a removed line may begin with `--`, as the head of a file does.
    """
    old = new = 0
    for line in patch.removesuffix("\n").split("\n") if patch else ():
        shown, sign = reviewable(line), line[:1]
        if old > 0 or new > 0:
            if sign != "\\":
                old -= sign != "+"
                new -= sign != "-"
            yield _BY_SIGN.get(sign, "same"), shown
        elif found := _HUNK.match(line):
            old, new = (1 if count is None else int(count) for count in found.groups())
            yield "hunk", shown
        else:
            yield "file" if sign != "\\" else "same", shown


def shown_diff(patch: str) -> Html:
    """Return a unified diff for a report."""
    lines = (element("span", f"{text}\n", class_=kind) for kind, text in diff_lines(patch))
    return element("pre", *lines, class_="diff", tabindex="0")
