"""What a reader reads: an attribute, its classes, and whose it is: the user's, or the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["ATTRIBUTES", "SUBJECTS", "Attribute", "Subject", "find_attribute", "opposite"]

Subject = Literal["user", "self"]
"""`user`: what the model takes the user to be. `self`: what it takes itself to be."""
SUBJECTS: tuple[Subject, ...] = get_args(Subject)


def opposite(subject: Subject) -> Subject:
    """The other one."""
    return "self" if subject == "user" else "user"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that somebody may have (arXiv 2406.07882)."""

    name: str
    classes: tuple[str, ...]
    noun: str
    """How it is called in the words that are put into the model's mouth."""
    file: str
    """TalkTuner's file of conversations."""
    labels: Mapping[str, str]
    """Labels in that file that are called otherwise here."""

    def suffix(self, subject: Subject) -> str:
        """The assistant's words at whose last token the attribute is read."""
        return f"I think the {self.noun} of this user is" if subject == "user" else f"I think my own {self.noun} is"


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
    """Look one up.

    Raises:
        ConfigError: there is none of this name; the message suggests the nearest one.
    """
    if name not in ATTRIBUTES:
        raise ConfigError(f"unknown attribute {name!r}{suggest(name, list(ATTRIBUTES))}")
    return ATTRIBUTES[name]
