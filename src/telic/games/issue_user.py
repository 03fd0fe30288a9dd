"""The simulated user of the game `issue`, who wrote the issue: knows its full text, and answers only what is asked.

What the vague text of the issue lacks is cut into sentences and blocks of code. An answer quotes those that share most
words with the question. Words that are rare among them count more, and so does the kind of thing that is asked for,
such as an example or the expected result. No model is involved, so the same question always gets the same answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from telic.memory.words import content_stems, sentence_spans

__all__ = ["DOES_NOT_KNOW", "IssueUser", "count_words"]

DOES_NOT_KNOW = "I do not know."
MOST_PARTS = 2
"""Parts of the text that one answer quotes."""
TOLD = 0.8
"""Share of a part's words from which the vague text has told it already."""
ENOUGH, SURELY = 0.2, 1.5
"""A part is an answer if it matches this share of a question's weight, or this weight of a long question."""
LONGEST_BLOCK = 30
"""Lines of a block of code that are quoted."""
_FENCED = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)[^\n]*$|(?:^(?: {4}|\t)[^\n]*\n?)+", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NAME = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)*")
_KINDS = {
    "result": "should expect expected instead want wanted happen return returns result raise raises output correct "
    "behaviour behavior right helpful",
    "example": "example examples instance reproduce reproduction steps sample input call code snippet",
    "error": "error errors exception traceback message fail fails crash raised actual",
    "version": "version versions release environment python platform system regression",
    "where": "where which file function module place line cause hint",
}
"""What is asked for, and the words that ask for it or give it away."""
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}


class IssueUser:
    """Somebody who knows the full text of an issue.

    Args:
        full: everything that they know.
        told: what they have told.
    """

    def __init__(self, full: str, told: str) -> None:
        known = set(_stems(told))
        self.missing = tuple(part for part in _parts(full) if _share(_stems(part), known) < TOLD)
        """The parts of the full text that were not told, in order."""
        self._features = [_features(part) for part in self.missing]

    def answer(self, question: str) -> str:
        """Answer a question, or say that they do not know."""
        asked = _features(question)
        weights = {feature: self._weight(feature) for feature in asked}
        total = sum(weights.values())
        scores = [sum(weights[feature] for feature in asked & features) for features in self._features]
        ranked = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        least = min(ENOUGH * total, SURELY)
        chosen = [index for index in ranked if scores[index] and scores[index] >= least][:MOST_PARTS]
        return "\n".join(self.missing[index] for index in sorted(chosen)) or DOES_NOT_KNOW

    def _weight(self, feature: str) -> float:
        """Return the inverse document frequency of a feature among the missing parts; 0 if none has it.

        A word of the question that no part has says nothing about which part is meant.
        """
        count = sum(feature in features for features in self._features)
        return math.log(1 + len(self._features) / count) if count else 0.0


def count_words(text: str) -> int:
    """Count the words of a text, as a measure of what it costs a person to read or write."""
    return len(text.split())


def _parts(text: str) -> Iterator[str]:
    """Yield the sentences and the blocks of code of a text."""
    text, at = _COMMENT.sub("", text), 0
    for block in _FENCED.finditer(text):
        yield from _sentences(text[at : block.start()])
        lines = block[0].strip("\n").splitlines()
        yield "\n".join(lines if len(lines) <= LONGEST_BLOCK else [*lines[:LONGEST_BLOCK], "..."])
        at = block.end()
    yield from _sentences(text[at:])


def _sentences(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        flat = " ".join(paragraph.split())
        yield from (flat[start:end] for start, end in sentence_spans(flat) if _stems(flat[start:end]))


def _stems(text: str) -> list[str]:
    """Return the stems of a text; the parts of a name such as `round_price` or `roundPrice` count as words."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return content_stems(" ".join(_NAME.findall(split)))


def _features(text: str) -> set[str]:
    text = re.sub(r"^(```|~~~).*$", r"\1", text, flags=re.MULTILINE)  # the language of a block says nothing
    kinds = {f"<{_KIND_OF[word]}>" for word in re.findall(r"[a-z]+", text.lower()) if word in _KIND_OF}
    if re.search(r"^(?:```|~~~| {4}|\t)|>>>", text, re.MULTILINE):
        kinds.add("<example>")
    return {*_stems(text), *kinds}


def _share(stems: list[str], known: set[str]) -> float:
    return sum(stem in known for stem in stems) / len(stems) if stems else 1.0
