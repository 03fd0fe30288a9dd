"""Attributes, their classes, and their subject: the user, or the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["ATTRIBUTES", "SUBJECTS", "Attribute", "Subject", "find_attribute", "opposite"]

Subject = Literal["user", "self"]
"""Whose attribute the model has a belief about: the user's, or its own (`self`)."""
SUBJECTS: tuple[Subject, ...] = get_args(Subject)


def opposite(subject: Subject) -> Subject:
    """Return the other subject."""
    return "self" if subject == "user" else "user"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a person (arXiv 2406.07882)."""

    name: str
    classes: tuple[str, ...]
    noun: str
    """Its name in a sentence."""
    file: str
    """Name of TalkTuner's file of conversations."""
    labels: Mapping[str, str]
    """Classes by the labels in that file that differ from them."""


def _attribute(name: str, noun: str, file: str, classes: str, **labels: str) -> Attribute:
    return Attribute(name, tuple(classes.split(", ")), noun, f"{file}.jsonl", labels)


ATTRIBUTES: dict[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        _attribute("age", "age", "age", "child, adolescent, adult, older adult"),
        _attribute("gender", "gender", "gender", "male, female"),
        _attribute(
            "education",
            "education level",
            "education",
            "some school, high school, college and more",
            someschool="some school",
            highschool="high school",
            collegemore="college and more",
        ),
        _attribute("socioeconomic", "socioeconomic status", "socioeco", "low, middle, high"),
    )
}
"""By name."""


def find_attribute(name: str) -> Attribute:
    """Look up an attribute by its name.

    Raises:
        ConfigError: the name is unknown; the message suggests the nearest one.
    """
    if name not in ATTRIBUTES:
        raise ConfigError(f"unknown attribute {name!r}{suggest(name, list(ATTRIBUTES))}")
    return ATTRIBUTES[name]
