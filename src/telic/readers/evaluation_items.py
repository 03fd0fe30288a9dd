"""Dialogues with the right answer of each reader: those that ship with Telic, files of one's own, and real people's.

The dialogues that ship are hand-written and share nothing with what readers are trained on, so a reader's figures on
them say how it does in use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, DataError
from telic.readers.attributes import Subject, find_attribute
from telic.registry import suggest
from telic.settings import expected_value

__all__ = ["UNSAID", "EvaluationItem", "Labels", "load_natural_items", "read_evaluation_items", "read_rows"]

UNSAID = "unknown"
"""The right answer where a dialogue does not say or clearly imply the class."""

Labels = dict[str, str | None]
"""By attribute: a class, `unknown`, or None where nobody could say what is right, which is not judged."""


class EvaluationItem(BaseModel):
    """A dialogue, and what a reader should say at the user's last turn. An attribute that is left out is `unknown`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Unique within its file."""
    kind: str = Field(default="own", min_length=1)
    """What it tests, such as `said` or `third_person`; figures are reported by kind."""
    style: str = ""
    """How the user writes, such as `terse`; figures are reported by style, too."""
    group: str = ""
    """Shared by items that resemble each other; intervals resample whole groups. By default those with one system
    prompt."""
    messages: tuple[Message, ...] = Field(min_length=1)
    user: Labels = Field(default_factory=dict)
    """The right answers about the user."""
    itself: Labels = Field(default_factory=dict, alias="self")
    """The right answers about the model itself."""
    lure: dict[str, str] = Field(default_factory=dict)
    """Classes of somebody else: a person mentioned, a role played, what was said before it was corrected."""
    person: dict[str, str] = Field(default_factory=dict)
    """What the user truly is, where that is known although the dialogue does not say it."""

    @model_validator(mode="after")
    def _can_be_judged(self) -> EvaluationItem:
        if all(message.role != "user" for message in self.messages):
            raise ValueError("messages has no message of the user, at which it could be read")
        for labels in (self.user, self.itself):
            _check(labels, UNSAID)
        for classes in (self.lure, self.person):
            _check(classes)
        return self

    @property
    def dialogue(self) -> Dialogue:
        """The messages up to the user's last one."""
        last = max(index for index, message in enumerate(self.messages) if message.role == "user")
        return Dialogue(self.messages[: last + 1])

    @property
    def cluster(self) -> str:
        """The group, or what stands for it."""
        return self.group or self.dialogue.system or self.id

    def answer(self, subject: Subject, attribute: str) -> str | None:
        """Return the right answer: a class, `unknown`, or None if it is not judged."""
        return (self.user if subject == "user" else self.itself).get(attribute, UNSAID)


def _check(labels: Mapping[str, str | None], *others: str) -> None:
    for name, label in labels.items():
        try:
            known = [*find_attribute(name).classes, *others]
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if label is not None and label not in known:
            raise ValueError(f"{name} is {label!r}; expected one of {', '.join(known)}{suggest(label, known)}")


def load_natural_items() -> list[EvaluationItem]:
    """Load the items that ship with Telic: natural messages and dialogues, hand-written for it."""
    with resources.as_file(resources.files("telic.readers") / "data" / "natural") as folder:
        return [item for path in sorted(folder.glob("*.jsonl")) for item in read_evaluation_items(path)]


def read_evaluation_items(path: str | Path) -> list[EvaluationItem]:
    """Read a file with an item on each line, as JSON.

    Raises:
        DataError: the file cannot be read, or a line is no such item; the message names the line.
    """
    path = Path(path)
    items: list[EvaluationItem] = []
    seen: dict[str, int] = {}
    for line, row in read_rows(path):
        where = f"{path}, line {line}"
        try:
            item = EvaluationItem.model_validate(row)
        except ValidationError as error:
            raise DataError(f"{where}: {_problem(error)}") from None
        if item.id in seen:
            raise DataError(f"{where}: id {item.id!r} is also used in line {seen[item.id]}; give each item its own id")
        seen[item.id] = line
        items.append(item)
    return items


def read_rows(path: Path) -> list[tuple[int, Any]]:
    """Read the JSON value on each line that is not empty, with the line's number.

    Raises:
        DataError: the file cannot be read or has no such line, or a line is not JSON.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut inside a JSON string
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read dialogues from {str(path)!r}: {error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except ValueError as error:
                raise DataError(f"{path}, line {number}: expected a JSON object, got {line[:40]!r}: {error}") from None
    if not rows:
        raise DataError(f"{path} is empty; expected a JSON object on each line")
    return rows


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{name!r} is missing"
    if first["type"] == "extra_forbidden":
        known = [field.alias or own for own, field in EvaluationItem.model_fields.items()]
        return f"unknown key {name!r}{suggest(name, known)}"
    return f"{name or 'the line'} is {first['input']!r}; expected {expected_value(first)}"
