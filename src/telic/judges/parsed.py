"""Rules on the answer as data: JSON, a number, a pick among options."""

from __future__ import annotations

import json
import math
import re
from functools import cached_property
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.errors import JudgeError
from telic.judges.base import STRICT, Score, registry
from telic.judges.rules import normalise, phrase

__all__ = ["Choice", "Json", "Numeric", "numbers", "picks"]


@registry.register("json")
@dataclass(frozen=True, config=STRICT)
class Json:
    """The answer is a JSON object or array: `{ json = true }`, `{ json = true, keys = ["name", "age"] }`.

    A Markdown code fence around it is ignored; other text beside it makes the answer invalid.
    """

    argument: Literal[True]
    keys: list[str] | None = None
    """Keys that the answer, then an object, must have."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer parses and has the keys."""
        text = answer.strip()
        if len(text) >= 6 and text.startswith(_FENCE) and text.endswith(_FENCE):
            text = _FENCE_NAME.sub("", text[3:-3], count=1).strip()
        try:
            value = json.loads(text, parse_constant=_reject)
        except (ValueError, RecursionError) as error:
            return Score.of(False, f"not JSON: {error}")
        if not isinstance(value, dict if self.keys is not None else dict | list):
            return Score.of(False, f"JSON, but of type {type(value).__name__}")
        missing = [key for key in self.keys or [] if key not in value]
        return Score.of(not missing, f"without the key {missing[0]!r}" if missing else "valid JSON")


_FENCE = "```"
_FENCE_NAME = re.compile(r"\A\w*")


def _reject(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


@registry.register("numeric")
@dataclass(frozen=True, config=STRICT)
class Numeric:
    """The answer gives a number: `{ numeric = 42 }`, `{ numeric = 3.1, tolerance = 0.1 }`, `{ numeric = [1, 5] }`.

    Digits and English number words below a thousand count; "1,200" is 1200 and "2,5" is 2.5.
    """

    argument: float | list[float]
    """The number; or the ends of a range, both included."""
    tolerance: float = Field(default=0.0, ge=0)
    """How far the answer's number may lie from the number or range."""
    which: Literal["any", "first", "last", "only"] = "any"
    """Which of the answer's numbers has to fit; with "only", the answer must have no other number."""

    def __post_init__(self) -> None:
        if isinstance(self.argument, list) and (len(self.argument) != 2 or self.argument[0] > self.argument[1]):
            raise JudgeError(f"argument is {self.argument!r}; expected a number or a range [low, high]")

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the number fits, 0 if it does not or if there is none."""
        found = numbers(answer)
        if not found:
            return Score.of(False, "no number in the answer")
        low, high = self.argument if isinstance(self.argument, list) else (self.argument, self.argument)
        slack = self.tolerance + 1e-9 * max(abs(low), abs(high))  # 0.1 + 0.2 is 0.3 to whoever writes a purpose file
        fits = [low - slack <= number <= high + slack for number in found]
        passed = {
            "any": any(fits),
            "first": fits[0],
            "last": fits[-1],
            "only": len(set(found)) == 1 and fits[0],
        }
        return Score.of(passed[self.which], f"numbers: {', '.join(f'{number:g}' for number in found[:8])}")


_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: float(value) for value, word in enumerate(_UNITS)} | {
    word: 10.0 * value for value, word in enumerate(_TENS, start=2)
}
_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|(?<!\d,)\d+,\d{1,2}(?![,\d])|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+"
_WORD = "|".join(sorted(_VALUES, key=len, reverse=True))
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])-\s?)?(?<![\d])(?P<digits>{_DIGITS})"
    rf"|\b(?P<words>(?:{_WORD}|a(?= hundred))(?:(?:[ -]|[ -]and )(?:{_WORD}|hundred))*)\b"
)


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, in their order."""
    found = []
    for match in _NUMBER.finditer(normalise(text)):
        if match["words"]:
            found += _spelled(match["words"])
        else:
            digits = match["digits"]
            decimal = re.fullmatch(r"\d+,\d{1,2}", digits)
            value = float(digits.replace(",", "." if decimal else ""))
            found.append(-value if match["sign"] else value)
    return [number for number in found if math.isfinite(number)]


def _spelled(text: str) -> list[float]:
    """Read number words: "two three" are two numbers, "twenty-three" and "two hundred and one" one each."""
    found: list[float] = []
    room = 0.0  # what may still be added to the last number: below 10 after "twenty", below 100 after "hundred"
    for word in re.findall(r"[a-z]+", text):
        if word == "and":
            continue
        if word == "a":
            found.append(1.0)
        elif word == "hundred":
            found[-1:] = [100 * (found[-1] if found else 1)]
            room = 100
        elif 0 < (value := _VALUES[word]) < room:
            found[-1] += value
            room = 10 if value >= 20 else 0
        else:
            found.append(float(value))
            room = 10 if value >= 20 else 0
    return found


@registry.register("choice")
@dataclass(frozen=True, config=STRICT)
class Choice:
    """The answer picks an option: `{ choice = "b", options = ["tea", "coffee", "juice"] }`.

    A pick is a label ("b", "(b)", "B.", "The answer is B") or an option's text. No pick scores 0, and so does
    more than one; the reason says which it was.
    """

    argument: str
    """The right option: its label, or its text."""
    options: list[str] | dict[str, str] | None = None
    """The options' texts, labelled a, b, c, ... or by the table's keys; without them, labels a to h are read."""

    def __post_init__(self) -> None:
        if self.options is not None and (len(self.table) < 2 or not all(map(normalise, self.table.values()))):
            raise JudgeError(f"options is {self.options!r}; expected two or more texts, labelled differently")
        if self.right not in self.table:
            raise JudgeError(f"argument is {self.argument!r}; expected one of {', '.join(self.table)}, or its text")

    @cached_property
    def table(self) -> dict[str, str]:
        """The options' texts by label, both normalised."""
        options = self.options
        if options is None:
            return dict.fromkeys("abcdefgh", "")
        if isinstance(options, list):
            options = dict(zip("abcdefghijklmnopqrstuvwxyz", options, strict=False))
        return {normalise(label): normalise(text) for label, text in options.items()}

    @cached_property
    def right(self) -> str:
        """The right option's label."""
        given = normalise(self.argument).strip("().: ")
        return next((label for label, text in self.table.items() if text and text == given), given)

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer picks the right option and no other."""
        picked = sorted(picks(answer, self.table))
        if not picked:
            return Score.of(False, "picks no option")
        if len(picked) > 1:
            return Score.of(False, f"ambiguous: picks {' and '.join(picked)}")
        return Score.of(picked[0] == self.right, f"picks {picked[0]!r}; expected {self.right!r}")


_REJECTED = (
    r"(?:\bnot|\bnever|n't|\brather than|\binstead of|\bover|\bthan)"
    r"(?: (?:the|a|an|option|answer|choose|pick))*\W*$"
)
_NEARBY = 60
"""Characters before a pick in which it may be rejected."""
_STATING = (
    r"\b(?:answer|choice|option|pick|choose|chose|select|go with|going with|prefer|recommend)"
    r"(?: (?:is|would be|option|answer|choice|for|number|must be|will be|should be|the)){0,8}[\s:=]*[\"'*(\[]*"
)


def picks(answer: str, options: dict[str, str]) -> set[str]:
    """Return the labels of the options that an answer picks.

    A stated pick ("the answer is B") outweighs mentioned options. A label and another option's text are two picks.

    Args:
        answer: the text.
        options: texts by label, both normalised; an empty text is never looked for.
    """
    text = normalise(answer, case=True)
    labels = "|".join(sorted((re.escape(label) for label in options), key=len, reverse=True))
    if not labels:
        return set()
    # "a" and "I" are words too: they count where a mark, the end or another label follows, or stated in upper case.
    label, firm = rf"(?i:({labels}))(?![.']\w)", r"[)\]:.\"*]|\s*-\s|\s*$"
    loose = rf"(?={firm}|[,;!?']|\s(?:or|and)\s\W?(?:{labels})(?!\w))"
    stated = _labels_found(rf"(?i:{_STATING}){label}{loose}", text)
    stated = stated or _labels_found(rf"(?i:{_STATING})({labels.upper()})(?!\w)", text)
    mentioned = _labels_of_texts(text, options)
    if len(stated) == 1:
        # "(a) tea, (b) coffee: I choose b" mentions all; "I choose b, the tea" contradicts itself.
        return stated if len(mentioned) != 1 else stated | mentioned
    shown = stated or _labels_found(rf"(?<!\w)(?:^[\"'*(\[]*|[(\[]){label}(?={firm})", text)
    shown = shown or _labels_found(rf"(?<![\w'.]){label}{loose}", text)
    plain = "|".join(re.escape(label) for label in options if label not in {"a", "i"})
    if plain and not shown:
        shown = _labels_found(rf"(?i:(?<![\w'])({plain})(?![\w']))", text)
    return shown | mentioned


def _labels_found(pattern: str, text: str) -> set[str]:
    """Return the labels that a pattern's group finds, without rejected ones ("not b")."""
    found = re.finditer(pattern, text)
    return {hit[1].lower() for hit in found if not _is_rejected(text, hit.start(1))}


def _is_rejected(text: str, at: int) -> bool:
    """Return whether the words just before a place reject what follows."""
    return re.search(_REJECTED, text[max(0, at - _NEARBY) : at], re.IGNORECASE) is not None


def _labels_of_texts(text: str, options: dict[str, str]) -> set[str]:
    """Return the labels of the options whose text occurs in the answer, and not only inside a longer option's text."""
    rest, found = normalise(text), set()
    for label, option in sorted(options.items(), key=lambda item: -len(item[1])):
        if option:
            hits = re.finditer(phrase(option), rest)
            if any(not _is_rejected(rest, hit.start()) for hit in hits):
                found.add(label)
            rest = re.sub(phrase(option), lambda hit: "\0" * len(hit[0]), rest)
    return found
