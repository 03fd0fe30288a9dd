"""The evidence of a reading: which of the user's words moved it, found by leaving them out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.models.base import Model
from telic.models.control import Control
from telic.models.session import Session
from telic.readers.reader import ReaderSet, Reading
from telic.readers.reading import read_beliefs

__all__ = ["Evidence", "TextSpan", "find_evidence"]

MOST_SPANS = 24
"""Spans that are left out, one at a time: each costs one reading."""
MOVES = 0.05
"""Least fall of the probability for which words count as evidence."""
NOTHING = "..."
"""What stands for a message of which nothing is left."""

_WORD = re.compile(r"\S+")
_BREAKS = (".", ",", ";", ":", "!", "?")


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Consecutive words of a message, and the reading without them."""

    message: int
    """Index of the message in the dialogue."""
    start: int
    """Of the first character."""
    end: int
    """After the last character."""
    text: str
    """The words."""
    without: float = 0.0
    """Probability of the class if the words are left out."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reading rests on."""

    label: str
    """The class: the most likely one, whether the reading is known or not."""
    probability: float
    """Its probability at the whole dialogue."""
    without_all: float
    """Its probability if these spans were all left out: what the model believes anyway."""
    spans: tuple[TextSpan, ...]
    """All spans that were left out, in their order; they cover the user's messages, or the last ones of very many."""

    def moved(self, least: float = MOVES) -> tuple[TextSpan, ...]:
        """Return the spans without which the probability falls by at least so much, the most important first."""
        found = [span for span in self.spans if self.probability - span.without >= least]
        return tuple(sorted(found, key=lambda span: span.without))


def find_evidence(
    model: Model,
    dialogue: Session | Sequence[Message],
    readers: ReaderSet,
    reader: str,
    controls: Sequence[Control] = (),
    most: int = MOST_SPANS,
) -> Evidence:
    """Find which of the user's words moved a reading: read the dialogue without some of them, for all in one batch.

    Words of the last message are left out one by one if there are few; otherwise phrases are, which end at punctuation
    where possible. Words that only work together are not found.

    Args:
        model: the model that the readers were trained on.
        dialogue: a session of that model, or plain messages; it stays unchanged.
        readers: readers, among them the one whose reading is explained.
        reader: its name, such as `user_age`.
        controls: act on the model meanwhile; pass those of the reading.
        most: how many spans are left out at most, at least 1. Messages before the last `most` are not looked at.

    Raises:
        UnsupportedControlError, ConfigError, ModelError: as `read_beliefs`.
        ConfigError: the user says nothing in the dialogue, or `most` is below 1.
    """
    messages = tuple(dialogue)
    spans = _spans(messages, most)
    if not spans:
        raise ConfigError("there is no evidence in a dialogue in which the user says nothing")
    every = [[span] for span in spans]
    variants = [messages, *(_without(messages, left_out) for left_out in every), _without(messages, spans)]
    sessions = [_fork(model, dialogue, variant) for variant in variants]
    whole, *single, nothing = (
        found[reader] for found in read_beliefs(model, sessions, readers.only([reader]), controls)
    )
    label = whole.likeliest

    def share(reading: Reading) -> float:
        return reading.probabilities[label]

    found = tuple(replace(span, without=share(reading)) for span, reading in zip(spans, single, strict=True))
    return Evidence(label, share(whole), share(nothing), found)


def _fork(model: Model, dialogue: Session | Sequence[Message], messages: Sequence[Message]) -> Session:
    """Make a session with other messages, which shares the cache of their common beginning."""
    session = dialogue.fork() if isinstance(dialogue, Session) else Session(model)
    session.model, session.dialogue = model, Dialogue(messages)
    return session


def _without(messages: Sequence[Message], left_out: Sequence[TextSpan]) -> tuple[Message, ...]:
    found = list(messages)
    for span in sorted(left_out, key=lambda one: -one.start):  # from the back, so that the places stay true
        said = found[span.message].content
        rest = f"{said[: span.start].rstrip()} {said[span.end :].lstrip()}".strip()
        found[span.message] = found[span.message].model_copy(update={"content": rest})
    for index in {span.message for span in left_out}:
        if not found[index].content:
            found[index] = found[index].model_copy(update={"content": NOTHING})
    return tuple(found)


def _spans(messages: Sequence[Message], most: int) -> list[TextSpan]:
    """Cut the user's messages, at most the last `most`, into that many spans at most; the last message finest."""
    if most < 1:
        raise ConfigError(f"most is {most}; expected at least 1")
    own = [index for index, message in enumerate(messages) if message.role == "user" and message.content.strip()]
    own = own[-most:]
    found: list[TextSpan] = []
    for done, index in enumerate(reversed(own)):
        earlier = len(own) - done - 1  # messages before this one, each of which gets one at least
        share = max(1, most - len(found) - earlier)
        text = messages[index].content
        # A long message leaves a third to the earlier ones.
        fits = not earlier or len(_WORD.findall(text)) <= share
        found += _cut(index, text, share if fits else max(1, share * 2 // 3))
    return sorted(found, key=lambda span: (span.message, span.start))


def _cut(message: int, text: str, count: int) -> Iterator[TextSpan]:
    """Cut a message into at most so many spans of about the same number of words."""
    words = list(_WORD.finditer(text))
    size = -(-len(words) // count)
    while words:
        length = min(size, len(words))
        breaks = [at for at in range(1, length + 1) if words[at - 1].group().endswith(_BREAKS)]
        # A phrase may end early at punctuation, if what is left still fits into the spans that are left.
        if size > 1 and breaks and -(-(len(words) - breaks[-1]) // size) < count:
            length = breaks[-1]
        start, end = words[0].start(), words[length - 1].end()
        yield TextSpan(message, start, end, text[start:end])
        words, count = words[length:], count - 1
