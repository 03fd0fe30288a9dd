"""Reading TOML: the values, and the line of each value for error messages.

`tomllib` returns values without positions. A second pass over the text records the line of every key. It runs only on
valid TOML, so it can be short: it skips values without decoding them.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from telic.errors import ConfigError

__all__ = ["Block", "KeyPath", "TomlSource", "decode", "dotted_path", "parse", "top_level_blocks"]

KeyPath = tuple[str | int, ...]
"""The path to a value: keys, and indices into arrays. `("probes", 1, "judge")` is `probes[1].judge`."""


@dataclass(frozen=True, slots=True)
class TomlSource:
    """The file and the lines of values. All sources compare equal, so that equal values from two files are equal."""

    name: str = field(default="", compare=False)
    """The file, as the user called it."""
    lines: Mapping[KeyPath, int] = field(default_factory=dict, compare=False)
    """Line of every key, table header and array element, counted from 1."""

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the value at `path`, or of the innermost table around it; None if the file has neither."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def where(self, path: KeyPath = ()) -> str:
        """Return the place of a value: `travel.toml, line 9: probes[1].judge`. Unknown parts are left out."""
        line = self.line(path) if path else None
        place = self.name if line is None else f"{self.name}, line {line}"
        return ": ".join(part for part in (place, dotted_path(path)) if part)

    def error(self, problems: Iterable[tuple[KeyPath, str]]) -> ConfigError:
        """Return one error that lists all problems, one per line, in the order of the file."""
        ordered = sorted(problems, key=lambda problem: self.line(problem[0]) or 0)
        return ConfigError("\n".join(f"{self.where(path)}: {message}" for path, message in ordered))


@dataclass(slots=True)
class Block:
    """A part of a document that sets one top-level key: one assignment, or one [table] with its content."""

    key: str
    table: bool
    start: int
    """Offset of its first character."""
    end: int
    """Offset after its last value or header. Comments and blank lines after that belong to the next block."""


def decode(data: bytes, name: str) -> str:
    """Decode a UTF-8 file, with or without a byte-order mark.

    Raises:
        ConfigError: the bytes are not UTF-8; the message names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}, line {line}: found the byte 0x{data[error.start]:02x}, which is not UTF-8. "
            "Save the file as UTF-8."
        ) from None


def parse(text: str, name: str) -> tuple[dict[str, Any], TomlSource]:
    """Read TOML.

    Args:
        text: the document.
        name: the document's name in errors, normally its path.

    Returns:
        The values, and their source.

    Raises:
        ConfigError: the document is not TOML; the message names the line and quotes it.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(text, name, str(error))) from None
    return values, TomlSource(name, _Scanner(text).scan())


def top_level_blocks(text: str) -> list[Block]:
    """Split a valid document into its blocks, in order."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.blocks


_POSITION = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", re.DOTALL)


def _syntax_error(text: str, name: str, message: str) -> str:
    found = _POSITION.match(message)
    what = found["what"] if found else message
    rows = text.rstrip().splitlines() or [""]
    line = min(int(found["line"]), len(rows)) if found and found["line"] else len(rows)
    row = rows[line - 1].strip()
    hint = ""
    if what.startswith("Cannot declare") and row.startswith("[") and not row.startswith("[["):
        hint = f"; where a table is repeated, each is written [{row}]"
    elif what == "Invalid value":
        hint = "; a text needs quotation marks"
    elif what.startswith(("Unterminated", "Unclosed", "Expected")) and not (found and found["line"]):
        hint = " before the end of the file; look for a quotation mark or a bracket that is not closed"
    return f"{name}, line {line}: not valid TOML: {what[:1].lower()}{what[1:]}{hint}. Found: {row}"


def dotted_path(path: KeyPath) -> str:
    """Write a path as text: `probes[1].judge`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""+'  # up to two quotes before the closing ones belong to the text
    r"|'''(?:[^']|'(?!''))*'''+"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\r\n]*[^,\]}#\s]",
    re.DOTALL,
)


class _Scanner:
    """Records the line of every key of a valid TOML document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lines: dict[KeyPath, int] = {(): 1}
        self.sizes: dict[KeyPath, int] = {}
        """Number of elements found so far in each array of tables."""
        self.blocks: list[Block] = []

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            start = self.at
            if self.text[start] == "[":
                table = self._header()
                self.blocks.append(Block(str(table[0]), True, start, self.at))
            else:
                path = self._pair(table)
                if not table:
                    self.blocks.append(Block(str(path[0]), False, start, self.at))
                self.blocks[-1].end = self.at
            self._skip(_BLANK)
        return self.lines

    def _header(self) -> KeyPath:
        start = self.at
        repeated = self.text.startswith("[[", start)
        self.at += 2 if repeated else 1
        self._skip(_BLANK)
        keys = self._keys()
        self.at = self.text.index("]", self.at) + (2 if repeated else 1)
        path: KeyPath = ()
        for depth, key in enumerate(keys, start=1):
            path = (*path, key)
            if repeated and depth == len(keys):
                self._record(path, start)
                self.sizes[path] = self.sizes.get(path, 0) + 1
            if path in self.sizes:  # a header refers to the last element of an array of tables
                path = (*path, self.sizes[path] - 1)
            self._record(path, start)
        self.lines[path] = self._line(start)  # `[a.b]` may come before `[a]`; the table's own header is its line
        return path

    def _pair(self, table: KeyPath) -> KeyPath:
        start = self.at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._record(path, start)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)
        return path

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        opening = self.text[self.at]
        if opening not in "[{":
            self._skip(_SCALAR)
            return
        self.at += 1
        self._skip(_BLANK)
        index = 0
        while self.text[self.at] not in "]}":
            if opening == "[":
                self._record((*path, index), self.at)
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _keys(self) -> list[str]:
        keys = []
        while match := _KEY.match(self.text, self.at):
            self.at = match.end()
            raw = match[0]
            keys.append(tomllib.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw)
            if not _DOT.match(self.text, self.at):
                break
            self._skip(_DOT)
        return keys

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _record(self, path: KeyPath, offset: int) -> None:
        self.lines.setdefault(path, self._line(offset))

    def _line(self, offset: int) -> int:
        return bisect_right(self.starts, offset)
