"""Real people's dialogues with the persuaded person's true attributes (PersuasionForGood, arXiv 1906.06725).

People hardly ever say who they are in them, so a reader should mostly say unknown; where it claims to know, the
survey that they filled in tells whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from telic.dialogue import Message
from telic.errors import DataError
from telic.readers.attributes import ATTRIBUTES
from telic.readers.evaluation_items import EvaluationItem, Labels, read_rows

__all__ = ["read_persuasion"]

_SEX = {"Male": "male", "Female": "female"}
_EDUCATION = {
    "Less than four-year college": "high school",
    "Four-year college": "college and more",
    "Postgraduate": "college and more",
}
"""The survey has no finer class below a degree; hardly anybody in it has no diploma."""
_RELATIVES = r"(kids?|child|children|sons?|daughters?|baby|family|husband|wife|girlfriend|boyfriend|fianc\w+)"
_PARENT = r"(mom|mum|mother|dad|father|parent)"
_HINTS: dict[str, re.Pattern[str]] = {
    "age": re.compile(
        rf"\b(years?[- ]old|yrs? old|aged|too old|my age|retir\w+|pension\w*|seniors?|elderly|teen\w*|students?|college"
        rf"|grand({_PARENT}|{_RELATIVES}|ma|pa)|my (own |\w+ )?{_RELATIVES}|(have|of) (\w+ )?(kids|children)"
        rf"|(i'?m|i am|as) an? (\w+ )?({_PARENT}|adult)|(i'?m|i am) \d\d|in my (early |mid |late )?(\d\ds|\w+ties)"
        rf"|when i was (a )?(young\w*|kid|child|little|\d)|mortgage|my (job|work|boss|career)|graduat\w+)\b",
        re.IGNORECASE,
    ),
    "gender": re.compile(
        rf"\b(my {_RELATIVES}|pregnan\w+|sir|ma'?am|(i'?m|i am|as|being) an? (\w+ )?({_PARENT}|man|woman|guy|girl|lady"
        rf"|male|female|gentleman|boy)|{_PARENT} (of|to|myself))\b",
        re.IGNORECASE,
    ),
    "education": re.compile(
        r"\b(college|universit\w+|degrees?|schools?|teach\w*|professors?|students?|study\w*|studie\w+|phd|masters?"
        r"|bachelor\w*|diploma\w*|graduat\w+|class(es|room)?|dropped out)\b",
        re.IGNORECASE,
    ),
    "socioeconomic": re.compile(
        r"\b(broke|poor|poverty|afford\w*|incomes?|pay ?checks?|pay ?day|unemploy\w+|jobs?|bills?|rent|budget|salary"
        r"|wages?|rich|wealth\w*|tight|struggl\w+|extra money|spare|financ\w+|fi[an]+ces|mortgage|debts?|make ends"
        r"|enough money|not have (much|a lot|money)|fortunate|well off)\b",
        re.IGNORECASE,
    ),
}
"""What may say or imply an attribute. It takes too much rather than too little: dialogues with such words are not
judged as saying nothing."""


def read_persuasion(path: str | Path) -> list[EvaluationItem]:
    """Read a file of PersuasionForGood: a line has `id`, `messages`, and `user` with age, sex and education.

    The persuaded person is the user. Each dialogue gives two items: as it is at the user's first message
    (`persuasion_first`), and at the last one (`persuasion`).

    Raises:
        DataError: the file cannot be read, or a line is no such dialogue; the message names the line.
    """
    path = Path(path)
    items: list[EvaluationItem] = []
    for line, row in read_rows(path):
        try:
            items += _items(row)
        except (KeyError, TypeError, AttributeError, ValueError, ValidationError):
            raise DataError(
                f"{path}, line {line}: expected an object with 'id', 'messages' with a message of the user, and "
                f"'user' with 'age', 'sex' and 'education', got {str(row)[:60]!r}"
            ) from None
    return items


def _items(row: Mapping[str, Any]) -> list[EvaluationItem]:
    messages = [Message.model_validate(message) for message in row["messages"]]
    person = _person(row["user"])
    first = next(index for index, message in enumerate(messages) if message.role == "user") + 1
    ends = {"persuasion_first": first, "persuasion": len(messages)}
    return [_item(str(row["id"]), kind, messages[:end], person) for kind, end in ends.items()]


def _item(name: str, kind: str, messages: list[Message], person: dict[str, str]) -> EvaluationItem:
    own, other = (_unsaid(m.content for m in messages if m.role == role) for role in ("user", "assistant"))
    return EvaluationItem.model_validate(
        {
            "id": f"{kind}/{name}",
            "kind": kind,
            "group": name,
            "messages": messages,
            "user": own,
            "self": other,
            "person": person,
        }
    )


def _person(survey: Mapping[str, Any]) -> dict[str, str]:
    """Map the survey's answers to classes; some people left them out."""
    found = {"gender": _SEX.get(survey["sex"]), "education": _EDUCATION.get(survey["education"])}
    if survey["age"] is not None:
        years = float(survey["age"])
        found["age"] = (
            "child" if years < 12 else "adolescent" if years < 18 else "adult" if years < 65 else "older adult"
        )
    return {name: label for name, label in found.items() if label is not None}


def _unsaid(texts: Iterable[str]) -> Labels:
    """Do not judge the attributes of which a speaker's words may say something; the others are unknown."""
    said = "\n".join(texts)
    return {name: None for name in ATTRIBUTES if _HINTS[name].search(said)}
