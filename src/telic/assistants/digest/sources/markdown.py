"""Folders of Markdown: notes, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext
from telic.assistants.digest.text import readable_html
from telic.errors import DataError

__all__ = ["MarkdownSource"]

MOST_FILES = 20_000
"""Files of a folder that are looked at."""
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_MARKS = re.compile(r"^\s*(?:[-*+]|\d+[.)]|>|#{1,6}|```\w*)\s*|[*_`]{1,3}", re.MULTILINE)


@dataclass(frozen=True)
class MarkdownSource:
    """The files `*.md` of a folder and of the folders in it. Hidden ones, and links out of the folder, are left out."""

    path: str
    """Relative to the purpose file."""
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", Path(self.path).name or self.path)

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the notes that changed since the oldest wanted time."""
        folder = context.fetcher.path(self.path).resolve()
        if not folder.is_dir():
            raise DataError(f"the folder {self.path!r} does not exist")
        found = []
        for number, path in enumerate(folder.rglob("*.md")):
            if number >= MOST_FILES:
                raise DataError(f"{self.path!r} has more than {MOST_FILES} files; name a smaller folder")
            inside = path.resolve().is_relative_to(folder)
            if inside and path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
                found.append((path.stat().st_mtime, path))
        for changed, path in sorted(found, reverse=True)[: context.most]:
            if changed >= context.since:
                yield _note(path, folder, changed, context)


def _note(path: Path, folder: Path, changed: float, context: SourceContext) -> DigestItem:
    raw = _FRONT.sub("", context.fetcher.file(path).decode("utf-8", "replace").replace("\r\n", "\n"))
    heading = _HEADING.search(raw)
    body = raw[: heading.start()] + raw[heading.end() :] if heading else raw
    text, warnings = readable_html(_MARKS.sub("", _LINK.sub(r"\1", body)).replace("\n\n", "<p>"))
    title = _MARKS.sub("", _LINK.sub(r"\1", heading[1])) if heading else path.stem.replace("-", " ").replace("_", " ")
    key = f"{path.relative_to(folder)}\0{changed}"
    return DigestItem(title=title, text=text, time=changed, kind="note", key=key, warnings=warnings)
