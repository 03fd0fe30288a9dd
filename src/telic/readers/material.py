"""The material of training texts: wordings from files, each of which belongs to training or to validation."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

__all__ = ["TextPart", "load_all_lines", "load_lines", "load_table", "load_templates", "of_part"]

TextPart = Literal["train", "validation"]


def of_part(wordings: Sequence[str], part: TextPart) -> list[str]:
    """List the wordings of a part, by a hash: about a fourth is for validation, and at least one for each part."""
    at = [i for i, one in enumerate(wordings) if (hashlib.sha256(one.encode()).digest()[0] < 64) == (part != "train")]
    return [wordings[i] for i in at] or list(wordings[1:] if part == "train" else wordings[:1])


@cache
def load_table(name: str) -> dict[str, Any]:
    """Load a TOML file of the material."""
    return tomllib.loads(_text(f"{name}.toml"))


@cache
def load_lines(name: str) -> list[str]:
    """Load a text file of the material; a line that begins with a number and a full stop continues the one before."""
    return [line for line in re.split(r"\n(?!\d\.)", _text(f"{name}.txt").strip()) if not line.startswith("#")]


@cache
def load_all_lines(name: str) -> list[str]:
    """Load the lines of all text files of the material whose names begin with this one."""
    folder = resources.files("telic.readers") / "data" / "training"
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith(name) and path.name.endswith(".txt"))
    return [line for own in names for line in load_lines(own.removesuffix(".txt"))]


@cache
def load_templates(name: str) -> Mapping[str, Mapping[str, list[str]]]:
    """Load templates by attribute and class; those for any class of the attribute are added to each."""
    return {
        attribute: {label: [*own, *classes.get("any", [])] for label, own in classes.items() if label != "any"}
        for attribute, classes in load_table(name).items()
    }


def _text(name: str) -> str:
    return (resources.files("telic.readers") / "data" / "training" / name).read_text(encoding="utf-8")
