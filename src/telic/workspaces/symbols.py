"""The classes and functions that source files define, as tree-sitter's grammars see them.

The grammar of Python comes with the extra `pair`. Those of other languages are used if their packages are installed,
such as `tree-sitter-javascript`: each has a query of its own for the names that a file defines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from telic.errors import MissingExtraError
from telic.workspaces.editing import split_lines

if TYPE_CHECKING:
    from tree_sitter import Language, Query

__all__ = ["Symbol", "find_definitions", "has_grammar"]

GRAMMARS = {
    ".py": "tree_sitter_python",
    ".pyi": "tree_sitter_python",
    ".js": "tree_sitter_javascript",
    ".jsx": "tree_sitter_javascript",
    ".mjs": "tree_sitter_javascript",
    ".go": "tree_sitter_go",
    ".rs": "tree_sitter_rust",
    ".java": "tree_sitter_java",
    ".rb": "tree_sitter_ruby",
    ".c": "tree_sitter_c",
    ".h": "tree_sitter_c",
    ".cc": "tree_sitter_cpp",
    ".cpp": "tree_sitter_cpp",
    ".hpp": "tree_sitter_cpp",
}
"""The package of each grammar, by the suffix of the files."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a file defines."""

    name: str
    """With the names of the definitions around it: `Session.send`."""
    kind: str
    """What tree-sitter's grammar calls it: class, function, method, constant, ..."""
    path: str
    line: int
    """Where the definition starts, counted from 1."""
    end: int
    """Its last line."""
    signature: str
    """Its first line."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}-{self.end}: {self.kind} {self.name}: {self.signature}"


def has_grammar(path: str) -> bool:
    """Return whether the grammar for a file's language is installed.

    Raises:
        MissingExtraError: tree-sitter is not installed.
    """
    return _grammar(PurePosixPath(path).suffix) is not None


def find_definitions(path: str, source: bytes) -> list[Symbol]:
    """Return the definitions in a file, in its order; none if there is no grammar for its language.

    Raises:
        MissingExtraError: tree-sitter is not installed.
    """
    grammar = _grammar(PurePosixPath(path).suffix)
    if grammar is None:
        return []
    from tree_sitter import Parser, QueryCursor

    language, query = grammar
    lines = split_lines(source.decode(errors="replace"))
    found: dict[tuple[int, int], tuple[str, str, int, int]] = {}
    for _, captures in QueryCursor(query).matches(Parser(language).parse(source).root_node):
        for capture, nodes in captures.items():
            if capture.startswith("definition.") and "name" in captures:
                node, name = nodes[0], captures["name"][0]
                place = node.start_byte, -node.end_byte
                text = source[name.start_byte : name.end_byte].decode(errors="replace")
                kind = capture.removeprefix("definition.")
                found.setdefault(place, (text, kind, node.start_point.row, node.end_point.row))
    return list(_nested(path, found, lines))


def _nested(path: str, found: dict[tuple[int, int], tuple[str, str, int, int]], lines: list[str]) -> list[Symbol]:
    """Give each definition the names of those around it."""
    symbols, around = [], list[tuple[int, str]]()  # the last byte and the name of each open definition
    for (start, negative_end), (name, kind, first, last) in sorted(found.items()):
        while around and around[-1][0] <= start:
            around.pop()
        full = ".".join([*(outer for _, outer in around), name])
        around.append((-negative_end, name))
        signature = lines[first].strip()[:160] if first < len(lines) else ""
        symbols.append(Symbol(full, kind, path, first + 1, last + 1, signature))
    return symbols


@cache
def _grammar(suffix: str) -> tuple[Language, Query] | None:
    try:
        from tree_sitter import Language, Query
    except ModuleNotFoundError:
        raise MissingExtraError("finding definitions", "pair") from None
    try:
        package = import_module(GRAMMARS[suffix])
    except (KeyError, ModuleNotFoundError):
        return None
    language = Language(package.language())
    return language, Query(language, package.TAGS_QUERY)
