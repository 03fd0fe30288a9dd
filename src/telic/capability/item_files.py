"""Files of multiple-choice items, in the forms of the usual benchmarks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from telic.errors import DataError

__all__ = ["LETTERS", "read_entries"]

_SPLITS = ("_test", "_dev", "_val")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _EntryError(Exception):
    """A fault within one entry; `_read_file` adds where the entry is."""


def read_entries(path: Path, kind: type[BaseModel]) -> list[dict[str, Any]]:
    """Read entries with the fields `id`, `subject`, `question`, `options`, `answer`, validated as `kind`.

    Raises:
        DataError: the file cannot be read or an entry is wrong; the message names the file and the line.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".csv", ".jsonl"))
        if not files:
            raise DataError(f"{path}: the folder has no .csv and no .jsonl file")
        found = [entry for file in files for entry in _read_file(file, kind)]
    else:
        found = _read_file(path, kind)
    seen: set[str] = set()
    for entry in found:
        if entry["id"] in seen:
            raise DataError(f"{path}: two items have the id {entry['id']!r}")
        seen.add(entry["id"])
    return found


def _read_file(path: Path, kind: type[BaseModel]) -> list[dict[str, Any]]:
    forms = {".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in forms:
        raise DataError(f"{path}: expected a .csv (MMLU's form) or .jsonl file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text in UTF-8: {error}") from error
    entries = []
    for line, record in forms[path.suffix](text, path):
        try:
            entry = {"id": f"{path.stem}-{line}", **(_row(record) if isinstance(record, list) else _object(record))}
            if path.suffix == ".csv":
                entry["subject"] = next(
                    (path.stem.removesuffix(s) for s in _SPLITS if path.stem.endswith(s)), path.stem
                )
            kind.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
            raise DataError(f"{path}, line {line}: {where}{first['msg'].removeprefix('Value error, ')}") from error
        except _EntryError as error:
            raise DataError(f"{path}, line {line}: {error}") from None
        entries.append(entry)
    if not entries:
        raise DataError(f"{path}: holds no items")
    return entries


def _csv(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Yield rows with the line at which each starts: a quoted question may span several."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            header = line == 1 and row[-1:] and row[-1].strip().lower() == "answer"
            if row and not header:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: not CSV: {error}") from error


def _jsonl(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    for line, content in enumerate(text.split("\n"), start=1):  # not splitlines: JSON texts may hold U+2028
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {line}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f'{path}, line {line}: expected an object such as {{"question": ...}}, found {content!r}')
        yield line, record


def _row(row: list[str]) -> dict[str, Any]:
    if len(row) < 4:
        raise _EntryError(f"found {len(row)} cells; expected the question, the options, and the right one's letter")
    question, *options, answer = row
    return {"question": question, "options": options, "answer": _index(answer, list(LETTERS[: len(options)]))}


def _object(record: dict[str, Any]) -> dict[str, Any]:
    question, choices = record.get("question"), record.get("options", record.get("choices"))
    if isinstance(question, dict):  # ARC as first published
        stem: dict[str, Any] = question
        question, choices = stem.get("stem"), stem.get("choices")
    if not isinstance(question, str):
        raise _EntryError(f"question is {question!r}; expected a text")
    options, labels = _options(choices)
    answer = next((record[key] for key in ("answer", "answerKey") if key in record), None)
    named = {key: str(record[key]) for key in ("id", "subject") if record.get(key) not in (None, "")}
    return {**named, "question": question, "options": options, "answer": _index(answer, labels)}


def _options(choices: Any) -> tuple[list[str], list[str]]:
    """Return the options' texts and labels."""
    options: Any = choices
    labels: Any = None
    if isinstance(choices, dict):
        options, labels = choices.get("text"), choices.get("label")
    elif isinstance(choices, list) and choices and all(isinstance(choice, dict) for choice in choices):
        options, labels = [choice.get("text") for choice in choices], [choice.get("label") for choice in choices]
    if isinstance(options, list) and all(isinstance(option, str) for option in options):
        if labels is None and len(options) <= len(LETTERS):
            labels = list(LETTERS[: len(options)])
        if isinstance(labels, list) and len(labels) == len(options):
            return options, [str(label) for label in labels]
    raise _EntryError(
        f'choices is {choices!r}; expected a list of up to 26 texts, or {{"text": [...], "label": [...]}}'
    )


def _index(answer: Any, labels: list[str]) -> int:
    """Find the index of the right option, which is given as an index from 0, or as its label."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        if 0 <= answer < len(labels):
            return answer
    elif isinstance(answer, str) and answer.strip().upper() in labels:
        return labels.index(answer.strip().upper())
    expected = f"one of {', '.join(labels)}" if labels else "a letter"
    raise _EntryError(f"answer is {answer!r}; expected {expected}, or an index from 0 to {len(labels) - 1}")
