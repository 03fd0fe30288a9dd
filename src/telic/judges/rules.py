"""Rules on the answer's text: phrases that it contains, begins or ends with; counts; its length; its casing.

Texts are compared after `normalise`: NFKC, plain quotes and dashes, single spaces, and without case unless the
option `case` is set.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.errors import JudgeError
from telic.judges.base import STRICT, Score, registry
from telic.judges.patterns import SECONDS, compile_pattern, count_matches, nfkc, search_pattern

__all__ = [
    "Casing",
    "Contains",
    "Count",
    "EndsWith",
    "Equals",
    "Excludes",
    "Length",
    "Regex",
    "StartsWith",
    "normalise",
    "phrase",
    "repeats_question",
]

_EMPTY = "the answer is empty"
_PLAIN = str.maketrans("‘’‚‛“”„‟«»‐‑‒–—―−", "''''" + '""""' + '""' + "-------")
# Around a whole answer these only mark it as speech, emphasis or a quotation.
_DECORATION = " \t\r\n\"'*_`>#"
# Scripts that write no spaces, or join particles to a word: a word has no edge that one could see.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = f"[^\\W{_UNSPACED}]"


def normalise(text: str, case: bool = False) -> str:
    """Return `text` in the form in which texts are compared; `case` distinguishes upper from lower case."""
    text = nfkc(text).translate(_PLAIN)
    if not case:
        text = nfkc(text.casefold())
    return " ".join(text.split())


def phrase(text: str, words: bool | None = None) -> str:
    """Return the pattern of a normalised phrase: with `words`, at the edges of words only.

    By default that holds at each end of the phrase that is a letter or digit, except in scripts without spaces.
    """
    before = words if words is not None else re.match(_LETTER, text)
    after = words if words is not None else re.search(_LETTER + r"\Z", text)
    return (r"(?<!\w)" if before else "") + re.escape(text) + (r"(?!\w)" if after else "")


@dataclass(frozen=True, config=STRICT)
class _Phrases:
    """Base of the rules on phrases: one phrase, or several of which one must occur."""

    argument: str | list[str]
    case: bool = False
    """Tell upper from lower case."""
    words: bool | None = None
    """Match whole words only; by default, where the phrase begins and ends with a letter or digit."""

    def __post_init__(self) -> None:
        if not self.phrases or not all(self.phrases):
            raise JudgeError(
                f"argument is {self.argument!r}; expected a text that is not empty, or a list of such texts"
            )

    @cached_property
    def phrases(self) -> list[str]:
        """The phrases, normalised."""
        given = [self.argument] if isinstance(self.argument, str) else self.argument
        return [normalise(text, self.case) for text in given]

    def _search(self, answer: str, pattern: str = "{}") -> str | None:
        for text in self.phrases:
            if re.search(pattern.format(phrase(text, self.words)), answer):
                return text
        return None


@registry.register("contains")
@dataclass(frozen=True, config=STRICT)
class Contains(_Phrases):
    """The answer contains a phrase: `{ contains = "Mia" }`, or any of a list: `["Mia", "Maria"]`."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if some phrase is in the answer."""
        found = self._search(normalise(answer, self.case))
        return Score.of(found is not None, f"contains {found!r}" if found else f"contains no {_either(self.phrases)}")


@registry.register("excludes")
@dataclass(frozen=True, config=STRICT)
class Excludes(_Phrases):
    """The answer contains none of the phrases: `{ excludes = ["price", "$"] }`. An empty answer's score is missing."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """0 if some phrase is in the answer."""
        if not answer.strip():
            return Score.missing(_EMPTY)
        found = self._search(normalise(answer, self.case))
        return Score.of(found is None, f"contains {found!r}" if found else f"contains no {_either(self.phrases)}")


@registry.register("starts_with")
@dataclass(frozen=True, config=STRICT)
class StartsWith(_Phrases):
    """The answer begins with a phrase: `{ starts_with = "Ahoy" }`. Quotation and emphasis marks may precede."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer begins with some phrase."""
        text = normalise(answer, self.case)
        bare = text.lstrip(_DECORATION)
        found = self._search(text, r"\A{}") or self._search(bare, r"\A{}")
        return Score.of(found is not None, f"begins with {text[:40]!r}")


@registry.register("ends_with")
@dataclass(frozen=True, config=STRICT)
class EndsWith(_Phrases):
    """The answer ends with a phrase: `{ ends_with = "over and out" }`. Quotation marks, "." and "!" may follow."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer ends with some phrase."""
        text = normalise(answer, self.case)
        bare = text.rstrip(_DECORATION)
        endings = (text, bare, bare.rstrip(_DECORATION + ".!"))
        found = next((hit for ending in endings if (hit := self._search(ending, r"{}\Z"))), None)
        return Score.of(found is not None, f"ends with {text[-40:]!r}")


@registry.register("equals")
@dataclass(frozen=True, config=STRICT)
class Equals:
    """The answer is this text and nothing more: `{ equals = "yes" }`, or one of a list.

    Quotation and emphasis marks around it and a full stop or exclamation mark after it count only if `exact`.
    """

    argument: str | list[str]
    case: bool = False
    """Tell upper from lower case."""
    exact: bool = False
    """Compare character by character, without any normalisation."""

    @cached_property
    def texts(self) -> list[str]:
        """The accepted answers, normalised."""
        return [self._reduce(text) for text in ([self.argument] if isinstance(self.argument, str) else self.argument)]

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the answer is (one of) the texts."""
        found = self._reduce(answer)
        return Score.of(found in self.texts, f"is {found[:60]!r}")

    def _reduce(self, text: str) -> str:
        if self.exact:
            return text
        full = normalise(text, self.case)
        return full.strip(_DECORATION).rstrip(_DECORATION + ".!") or full


@registry.register("regex")
@dataclass(frozen=True, config=STRICT)
class Regex:
    r"""The answer matches a regular expression: `{ regex = '\b\d{4}\b' }`. The answer is in NFKC, with its lines.

    The score is missing if the expression takes longer than a second.
    """

    argument: str
    case: bool = False
    """Tell upper from lower case."""
    full: bool = False
    """The whole answer, without the space around it, has to match."""

    def __post_init__(self) -> None:
        _ = self.pattern  # a broken pattern is an error now, not at the first answer

    @cached_property
    def pattern(self) -> Any:
        """The compiled expression."""
        return compile_pattern(self.argument, case=self.case)

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the expression is found."""
        try:
            found = search_pattern(self.pattern, nfkc(answer).strip(), full=self.full)
        except TimeoutError:
            return Score.missing(f"undetermined: {self.argument!r} takes more than {SECONDS:g} s for this answer")
        return Score.of(found is not None, "does not match" if found is None else f"matches at {found}")


@dataclass(frozen=True, config=STRICT)
class _Limits:
    """Base of the rules on a number of things in the answer."""

    min: int | None = Field(default=None, ge=0, kw_only=True)
    max: int | None = Field(default=None, ge=0, kw_only=True)

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise JudgeError("neither min nor max is given; expected one of them, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise JudgeError(f"min is {self.min} and max is {self.max}; expected min to be at most max")

    def _score(self, count: int, what: str) -> Score:
        return Score.of((self.min or 0) <= count and (self.max is None or count <= self.max), f"{count} {what}")


@registry.register("count")
@dataclass(frozen=True, config=STRICT)
class Count(_Limits):
    r"""A regular expression matches a number of times within limits: `{ count = '\bstory\b', min = 2 }`.

    Matches do not overlap. An empty answer's score is missing, and so is one that takes longer than a second.
    """

    argument: str
    case: bool = Field(default=False, kw_only=True)
    """Tell upper from lower case."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.pattern  # a broken pattern is an error now, not at the first answer

    @cached_property
    def pattern(self) -> Any:
        """The compiled expression."""
        return compile_pattern(self.argument, case=self.case)

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the number of matches is within the limits, both included."""
        if not answer.strip():
            return Score.missing(_EMPTY)
        try:
            count = count_matches(self.pattern, nfkc(answer))
        except TimeoutError:
            return Score.missing(f"undetermined: {self.argument!r} takes more than {SECONDS:g} s for this answer")
        return self._score(count, "matches")


@registry.register("repeats_question")
def repeats_question(answer: str, question: str = "") -> Score:
    """The answer begins with the question, word for word, and goes on: `{ repeats_question = true }`.

    Only letters and digits are compared. The score is missing where no question was asked.
    """
    asked, said = (re.findall(r"\w+", normalise(text)) for text in (question, answer))
    if not asked:
        return Score.missing("no question was asked")
    repeated = said[: len(asked)] == asked
    complete = repeated and len(said) > len(asked)
    return Score.of(
        complete, "repeated" if complete else "nothing follows the question" if repeated else "not repeated"
    )


@registry.register("length")
@dataclass(frozen=True, config=STRICT)
class Length(_Limits):
    """The answer has a length within limits: `{ length = "words", max = 20 }`. An empty answer's score is missing."""

    argument: Literal["words", "characters", "sentences", "lines"]
    """What is counted. Only lines with something on them count; the space around the answer does not."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the count is within the limits, both included."""
        text = answer.strip()
        if not text:
            return Score.missing(_EMPTY)
        count = {"words": _words, "characters": len, "sentences": _sentences, "lines": _lines}[self.argument](text)
        return self._score(count, self.argument)


@registry.register("casing")
@dataclass(frozen=True, config=STRICT)
class Casing:
    """The answer has this casing: `{ casing = "upper" }`. The score is missing if no letter has a case."""

    argument: Literal["upper", "lower", "title"]
    """All capitals; no capitals; or every word with a capital, except short ones such as "of" inside."""

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if no letter breaks the rule."""
        if not any(char.isupper() or char.islower() for char in answer):
            return Score.missing("no letter that has a case")
        if self.argument == "upper":
            wrong = [char for char in answer if char.islower()]
        elif self.argument == "lower":
            wrong = [char for char in answer if char.isupper()]
        else:
            words = re.findall(r"[^\W\d_][\w']*", answer.replace("’", "'"))
            wrong = [word for place, word in enumerate(words) if word[0].islower() and not (place and word in _SMALL)]
        return Score.of(not wrong, f"breaks the rule: {wrong[0]!r}" if wrong else f"all {self.argument}")


_SMALL = frozenset(
    ("a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "into", "nor", "of", "off", "on", "or", "over")
) | {"so", "the", "to", "up", "via", "with", "yet"}
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|No|e\.g|i\.e)\.(?=\s+\S)")


def _words(text: str) -> int:
    return len(re.findall(r"\w+(?:['’\-]\w+)*", text))


def _sentences(text: str) -> int:
    """Count the parts that end in a mark and hold a letter or digit; an abbreviation's point ends none."""
    parts = re.split(r"(?<=[.!?…])[\"'”’)*_]*\s+|(?<=[。！？])", _ABBREVIATION.sub("", text))
    return sum(bool(re.search(r"\w", part)) for part in parts)


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _either(phrases: list[str]) -> str:
    return " or ".join(map(repr, phrases))
