"""Texts about other people: their classes are not the user's, however much is said of them.

Messages written by hand, in which the user says what they are, are said of somebody else, or put into a quote; and
statements are made of many more people than other generated dialogues have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from telic.readers.dialogue_kinds import TextDraw
from telic.readers.material import load_table
from telic.readers.statements import NAMES, Person

__all__ = ["quoted", "said_of_another", "shifted"]

_VERBS = (
    "work|live|need|want|earn|get|go|know|think|like|love|play|run|own|make|teach|study|say|feel|look|take|find|use"
    "|sleep|drive|eat|pay|rent|keep|wear|start|hate|read|write|help|plan|turn|see|come|give|ask|try"
)
_SHIFTS: tuple[tuple[str, str], ...] = (
    (r"\b(I'm|I am|i'm|im|i am)\b", "{he} is"),
    (r"\b(I've|I have|i've|ive|i have)\b", "{he} has"),
    (r"\b(?:I|i) do\b", "{he} does"),
    (r"\b(do|Do) (?:I|i)\b", r"\1es {he}"),
    (r"\b(?:am|Am) (?:I|i)\b", "is {he}"),
    (r"\b(?:have|Have) (?:I|i)\b", "has {he}"),
    (rf"\b(?:I|i) ({_VERBS})\b", r"{he} \1s"),
    (r"\b(I|i)\b", "{he}"),
    (r"\b(my|My)\b", "{his}"),
    (r"\b(mine|Mine)\b", "{his} own"),
    (r"\b(me|Me)\b", "{him}"),
    (r"\b(myself|Myself)\b", "{him}self"),
)
"""From the first person to the third; in the order in which they apply."""


def said_of_another(draw: TextDraw) -> str:
    """Write a message that makes a statement about one of many people."""
    person = _other(draw)
    return draw.styled(_of_person(draw.frame("others", person), person))


def shifted(text: str, draw: TextDraw) -> str:
    """Say of somebody else what a message says of the user; who is named at the first mention."""
    person = _other(draw)
    for pattern, words in _SHIFTS:
        text = re.sub(pattern, words, text)
    first = min(((text.find(marker), marker) for marker in ("{he}", "{his}", "{him}") if marker in text), default=None)
    if first is None:
        text = f"About {person.name}: {text}"
    else:
        text = text.replace(first[1], f"{person.name}'s" if first[1] == "{his}" else person.name, 1)
    frame = draw.of(load_table("frames")["shifted"])
    filled = _of_person(frame.replace("{M}", text), person)
    return filled[:1].upper() + filled[1:]


def quoted(text: str, draw: TextDraw) -> str:
    """Put a message into the mouth of somebody whom the user quotes, or invents."""
    frame = draw.of(load_table("frames")["quoted"]).replace("{name}", draw.rng.choice(NAMES))
    return frame.replace("{M}", text.replace('"', "'"))


def _other(draw: TextDraw) -> Person:
    words = draw.rng.choice((("she", "her", "her"), ("he", "his", "him")))
    people: Sequence[str] = load_table("frames")["people"][words[0]]
    return Person(draw.of(list(people)), words[0], "is was has", words[1], words[2], third=True)


def _of_person(text: str, person: Person) -> str:
    for marker, word in (("he", person.subject), ("his", person.own), ("him", person.object)):
        text = text.replace(f"{{{marker}}}", word)
    return text.replace("{He}", person.subject.capitalize())
