"""Statements about a person: what is said of an attribute, of the user, the assistant or somebody else."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

__all__ = ["FIRST", "NAMES", "SECOND", "Person", "fill_age", "say", "somebody"]

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_AGES = {"child": (4, 11), "adolescent": (13, 17), "adult": (18, 63), "older adult": (65, 95)}
_GRADES = ("first", "second", "third", "fourth", "1st", "2nd", "3rd", "4th")
YEAR = 2025
"""Years of birth are counted from here."""

NAMES = [
    "Alex", "Kim", "Robin", "Sam", "Charlie", "Jamie", "Taylor", "Noor", "Ariel", "Wei", "Amal", "Sasha", "Yuki",
    "Ming", "Kiran", "Chidi", "Luca", "Ikaika", "Deniz", "Quinn", "Tal", "Hira",
]  # fmt: skip
"""Given names that tell no gender, or that a model hardly knows one of."""


@dataclass(frozen=True, slots=True)
class Person:
    """How a statement's markers read for one person."""

    name: str
    """The first mention."""
    subject: str
    verb: str
    """Three forms: of be, of be in the past, and of have; divided by spaces."""
    own: str
    object: str
    third: bool = False
    kin: bool = False
    """Whether that the user knows this person hints at the user's own age."""


FIRST = Person("I", "I", "am was have", "my", "me")
SECOND = Person("you", "you", "are were have", "your", "you")

_PEOPLE = {
    "she": "my aunt, my sister, my friend Ana, our neighbour Mrs. Bell, my niece, a customer of mine, my cousin, "
    "the old lady next door, my colleague Priya",
    "he": "my uncle, my brother, my friend Tom, our neighbour Mr. Bell, my nephew, a guest of mine, my roommate, "
    "the man next door, my colleague Ivan, a stranger on the train",
}
_KIN = {
    "she": "my grandmother, my daughter, my mother, my teacher, my boss",
    "he": "my grandfather, my son, my father, my coach, my student",
}
"""That the user has them hints at the user's own age."""


def somebody(rng: random.Random) -> Person:
    """Draw a person who is neither the user nor the assistant."""
    words, kin = rng.choice((("she", "her", "her"), ("he", "his", "him"))), rng.random() < 0.35
    name = rng.choice((_KIN if kin else _PEOPLE)[words[0]].split(", "))
    return Person(name, words[0], "is was has", words[1], words[2], third=True, kin=kin)


def fill_age(template: str, label: str, rng: random.Random) -> str:
    """Fill in numbers that fit a class of age."""
    if label not in _AGES:
        return template
    age = rng.randint(*_AGES[label])
    if re.search(r"nearly \{W\}", template):
        age = min(max(age, _AGES[label][0] + 1), _AGES[label][1])
    ending = "th" if 10 < age % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(age % 10, "th")
    words = {"N": str(age), "W": _words(age), "O": f"{age}{ending}", "Y": str(YEAR - age), "G": rng.choice(_GRADES)}
    for marker, word in words.items():
        template = template.replace(f"{{{marker}}}", word)
    return template.replace("a eight", "an eight").replace("a eleven", "an eleven").replace("a 8", "an 8")


def _words(number: int) -> str:
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def say(template: str, label: str, person: Person, rng: random.Random) -> str:
    """Say a template of a person; the sentence has no full stop, and begins in lower case unless with I."""
    text = fill_age(template, label, rng)
    if person.third:
        first = min((text.find(marker), marker) for marker in ("{I}", "{my}", "{me}") if marker in text)[1]
        text = text.replace(first, f"{person.name}'s" if first == "{my}" else person.name, 1)
    be, past, have = person.verb.split()
    ending = "s" if person.third else ""
    words = {"am": be, "was": past, "have": have, "do": "does" if person.third else "do", "my": person.own}
    words |= {"I": person.subject, "me": person.object, "s": ending, "es": "es" if ending else ""}
    for marker, word in words.items():
        text = text.replace(f"{{{marker}}}", word)
    return text
