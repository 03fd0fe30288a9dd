"""Writing TOML: whole documents, and edits that keep the author's comments and layout."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

import tomlkit
from pydantic import BaseModel
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from telic.errors import ConfigError
from telic.toml_source import Block, top_level_blocks

__all__ = ["append_table", "dump", "edit", "to_toml_types"]


def to_toml_types(value: Any, where: str = "") -> Any:
    """Convert a value to TOML's types: mappings and models to dict, tuples to list, paths to text. None is left out.

    Args:
        value: what to convert.
        where: the place of the value, for errors.

    Raises:
        ConfigError: TOML has no type for some value.
    """
    if isinstance(value, BaseModel):
        return to_toml_types(value.model_dump(exclude_none=True), where)
    if isinstance(value, Mapping):
        kept = ((str(key), item) for key, item in value.items() if item is not None)
        return {key: to_toml_types(item, f"{where}.{key}".removeprefix(".")) for key, item in kept}
    if isinstance(value, (list, tuple)):
        return [to_toml_types(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    try:
        return tomlkit.item(value).unwrap()
    except (TOMLKitError, ValueError, TypeError):
        kind = type(value).__name__
        raise ConfigError(f"{where}: found {value!r} ({kind}), which TOML cannot hold") from None


def dump(values: Mapping[str, Any], depth: int = 1) -> str:
    """Return a TOML document: plain keys first, then a [table] per mapping. Tables deeper than `depth` are inline."""
    return tomlkit.dumps(_fill(tomlkit.document(), to_toml_types(values), depth))


def edit(text: str, changes: Mapping[str, Any]) -> str:
    """Change top-level keys of a valid TOML document; None or an empty list removes the key.

    Raises:
        ConfigError: the change would also change something else.
    """
    expected = tomllib.loads(text)
    for key, value in changes.items():
        new = None if value is None or value in ([], ()) else to_toml_types(value, key)
        text = _set(text, key, new)
        expected.pop(key, None)
        if new is not None:
            expected[key] = new
    try:
        faithful = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        faithful = False
    if not faithful:  # never write a file whose other values have changed
        raise ConfigError(f"cannot change {', '.join(changes)} in place; edit the file by hand")
    return text


def append_table(text: str, key: str, table: Mapping[str, Any]) -> str:
    """Add a table to a list of tables at the end of a valid TOML document. Nothing else changes.

    Raises:
        ConfigError: the key has a value of another kind.
    """
    expected = tomllib.loads(text)
    listed = expected.get(key, [])
    if not isinstance(listed, list):
        raise ConfigError(f"cannot add to {key}, which is not a list of tables; edit the file by hand")
    new = to_toml_types(table, key)
    expected[key] = [*listed, new]
    newline = "\r\n" if "\r\n" in text else "\n"
    rendered = dump({key: [new]}).strip().replace("\n", newline)
    appended = f"{text.rstrip()}{newline}{newline}{rendered}{newline}"
    try:
        faithful = tomllib.loads(appended) == expected
    except tomllib.TOMLDecodeError:  # the list is written in one line
        faithful = False
    return appended if faithful else edit(text, {key: expected[key]})


def _set(text: str, key: str, value: Any) -> str:
    """Write a value where the key was, or at the place for a new key of its kind; None removes the key."""
    newline = "\r\n" if "\r\n" in text else "\n"
    rendered = "" if value is None else dump({key: value}).strip().replace("\n", newline)
    table = rendered.startswith("[")
    old = [part for part in top_level_blocks(text) if part.key == key]
    first = old.pop(0) if old and rendered and all(part.table == table for part in old) else None
    for part in reversed(old):
        text = _cut(text, part)
    if first:
        return f"{text[: first.start]}{rendered}{text[first.end :]}"
    if not rendered:
        return text
    if table:
        return f"{text.rstrip()}{newline}{newline}{rendered}{newline}"
    ends = [part.end for part in top_level_blocks(text) if not part.table]
    if not ends:
        return f"{rendered}{newline}{text}"
    at = text.find("\n", ends[-1]) + 1
    if not at:  # the last line of the file, not ended
        return f"{text}{newline}{rendered}{newline}"
    return f"{text[:at]}{rendered}{newline}{text[at:]}"


_REST_OF_LINE = re.compile(r"[^\n]*\n?")


def _cut(text: str, part: Block) -> str:
    """Remove a block with the comment on its last line, and leave no two blank lines in its place."""
    rest = _REST_OF_LINE.match(text, part.end)
    before, after = text[: part.start], text[rest.end() if rest else part.end :]
    apart = not before or before.replace("\r", "").endswith("\n\n")
    return before + (after.lstrip("\r\n") if apart else after)


T = TypeVar("T", Table, tomlkit.TOMLDocument)


def _fill(table: T, values: dict[str, Any], depth: int) -> T:
    items = {key: _item(value, depth) for key, value in values.items()}
    for key in sorted(items, key=lambda key: isinstance(items[key], (AoT, Table))):
        table.add(key, items[key])
    return table


def _item(value: Any, depth: int) -> Any:
    if depth and isinstance(value, dict):
        return _fill(tomlkit.table(), value, depth - 1)
    if depth and isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        array = tomlkit.aot()
        for item in value:
            array.append(_fill(tomlkit.table(), item, depth - 1))
        return array
    return _inline(value)


def _inline(value: Any) -> Any:
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        for key, item in value.items():
            inline.add(key, _inline(item))
        return inline
    if isinstance(value, list):
        array = tomlkit.array()
        for item in value:
            array.append(_inline(item))
        return array
    return tomlkit.item(value)
