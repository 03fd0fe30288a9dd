"""A user's own issues: a folder of Markdown files with a head in TOML, or of TOML files.

+++
title = "Ties are rounded the wrong way"
repository = ".."                                  # from the file's folder
must_turn_green = ["tests/test_rounding.py::test_ties"]
must_stay_green = ["tests/test_rounding.py"]
+++
`round_price` is wrong for some amounts.

## Hidden

It should round half to even.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from telic.errors import ConfigError, DataError
from telic.issues.issue import Issue
from telic.settings import Settings
from telic.toml_source import decode, parse

__all__ = ["load_folder"]

_HEAD = re.compile(r"\A\+\+\+\n(?P<head>.*?)\n\+\+\+\n(?P<text>.*)\Z", re.DOTALL)
_HIDDEN = re.compile(r"^(?P<level>#+) Hidden[^\n]*\n(?P<text>.*?)(?=^#{1,6} |\Z)", re.MULTILINE | re.DOTALL)


class _Head(Settings):
    """What the head of an issue says, or all of a file in TOML."""

    title: str
    text: str = ""
    hidden: str = ""
    repository: str = "."
    base: str = "HEAD"
    must_turn_green: tuple[str, ...] = ()
    must_stay_green: tuple[str, ...] = ()
    test_patch: str = ""
    """Path of a patch that brings the tests."""
    environment: str = ""


def load_folder(folder: str | Path) -> list[Issue]:
    """Read all issues of a folder, sorted by the names of their files.

    Raises:
        DataError: there is no such folder, it holds no issue, or a file cannot be read.
        ConfigError: a file is not an issue; the message says where and why.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is not a folder of issues")
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".md", ".toml") and path.name != "README.md")
    if not paths:
        raise DataError(f"{str(folder)!r} holds no issue; expected files such as 1-rounding.md or 1-rounding.toml")
    return [_read(path) for path in paths]


def _read(path: Path) -> Issue:
    try:
        text = decode(path.read_bytes(), str(path)).replace("\r\n", "\n")
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    body = ""
    if path.suffix == ".md":
        found = _HEAD.match(text)
        if not found:
            raise ConfigError(f"{path}: expected a head in TOML between two lines '+++' at the start of the file")
        text, body = found["head"], found["text"].strip()
    values, _ = parse(text, str(path))
    try:
        head = _Head.of(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return _issue(path, head, body or head.text)


def _issue(path: Path, head: _Head, body: str) -> Issue:
    hidden = "\n\n".join([*(match["text"].strip() for match in _HIDDEN.finditer(body)), *filter(None, [head.hidden])])
    told = _HIDDEN.sub("", body).strip()
    patch: Any = path.parent / head.test_patch if head.test_patch else None
    try:
        test_patch = patch.read_text(encoding="utf-8") if patch else ""
    except OSError as error:
        raise DataError(f"{path}: cannot read test_patch {head.test_patch!r}: {error.strerror}") from None
    return Issue(
        id=path.stem,
        title=head.title,
        full_text="\n\n".join(filter(None, [told, hidden])),
        hidden_text=told,
        repository=(path.parent / head.repository).resolve(),
        base=head.base,
        must_turn_green=head.must_turn_green,
        must_stay_green=head.must_stay_green,
        test_patch=test_patch,
        environment=head.environment,
    )
