"""Statements: what users say outright about themselves, found by patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from telic.memory.claims import Claim, ClaimScope, EvidenceSpan
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.cues import is_update, masked, scope_of, speaks_for_the_user, trim_value
from telic.memory.extractors.patterns import StatementPattern, gate_of, slot_patterns, statement_patterns
from telic.memory.words import is_instruction, sentence_spans

__all__ = ["LONGEST_SENTENCE", "Statements", "shared_statements"]

_FIRST_PERSON = re.compile(
    r"\b(?:i|i'm|im|i've|ive|i'd|i'll|my|me|we|we're|our|us|nothing beats|spare me|max|budget|at most|"
    r"up to|more than)\b|[:=]|\bin (?:english|german|french|spanish|italian|dutch)"
)
_ELLIPSIS = re.compile(
    r"^(?:\W*\b(?:oh|and|also|so|well|ugh|btw|but|yes|no|honestly|ok|okay)\b)*\W*(?=(?:really |just |still |absolutely |simply )*"
    r"(?:love|hate|prefer|enjoy|dislike|adore|can't|cant|cannot|don't|dont|never|got|have|live|work|used to|no longer|moved|"
    r"(?P<am>allergic|living|working|based|into|keen|fond|tired|"
    r"(?:not )?(?:an? )?(?:big |huge |great )?fan|not (?:into|keen|fond)))\b)"
)
"""The beginning of a sentence that leaves out "I" or "I'm"."""
_MORE = re.compile(r"(?:, [\w-]+(?: [\w-]+)?)*,? (?:and|or) [\w-]+(?: [\w-]+)?(?=\s*(?:[.!?;]|$))")
_ITEMS = re.compile(r",? and | or |, ")
LONGEST_SENTENCE = 400
"""Characters beyond which a sentence is no plain statement. It also bounds the time that the patterns take."""
LISTED = frozenset({"taste", "allergy"})
"""Slots of which one sentence may name several values: "peanuts and kiwi"."""


class Statements:
    """Finds statements in the first person. Quotations, questions, suppositions and what others like are left out.

    Args:
        config: the slots of the purpose.
    """

    name = "statements"

    def __init__(self, config: MemoryConfig) -> None:
        own = [pattern for slot in config.slots for pattern in slot_patterns(slot)]
        self._patterns: tuple[StatementPattern, ...] = (*own, *statement_patterns())
        self._gates = {pattern.slot: gate_of(pattern.slot) for pattern in self._patterns}
        self._latest: tuple[MemoryEvent, list[Claim]] | None = None

    def extract(self, event: MemoryEvent) -> list[Claim]:
        """Return the statements in a message."""
        latest = self._latest
        if latest is None or latest[0] is not event:
            self._latest = latest = event, list(self._in_message(event))
        return latest[1]

    def _in_message(self, event: MemoryEvent) -> Iterator[Claim]:
        if event.kind != "message":
            return
        text = masked(event.text)
        for start, end in sentence_spans(text):
            sentence = text[start:end]
            if end - start > LONGEST_SENTENCE or is_instruction(event.text[start:end]):
                continue
            if match := _ELLIPSIS.match(sentence):
                yield from self._in_ellipsis(event, start, sentence, match)
            elif _FIRST_PERSON.search(sentence):
                yield from self._in_sentence(event, start, sentence)

    def _in_ellipsis(self, event: MemoryEvent, offset: int, sentence: str, match: re.Match[str]) -> Iterator[Claim]:
        """Yield the statements of a sentence without its subject: "love jazz!"."""
        start, subject = match.end(), "i'm " if match["am"] else "i "
        text = f"{event.text[: offset + start]}{subject}{event.text[offset + start :]}"
        completed = f"{sentence[:start]}{subject}{sentence[start:]}"
        for claim in self._in_sentence(replace(event, text=text), offset, completed):
            first, last = (place - len(subject) for place in (claim.evidence.start, claim.evidence.end))
            if first >= offset + start and event.text[first:last] == claim.value:
                yield replace(claim, evidence=replace(claim.evidence, start=first, end=last))

    def _in_sentence(self, event: MemoryEvent, offset: int, sentence: str) -> Iterator[Claim]:
        original = event.text[offset : offset + len(sentence)]
        taken: list[tuple[int, int]] = []
        passed = {slot: gate is None or gate.search(sentence) is not None for slot, gate in self._gates.items()}
        for pattern in self._patterns:
            if not passed[pattern.slot]:
                continue
            for match in pattern.regex.finditer(sentence):
                place = match.span("v") if pattern.keep else trim_value(sentence, *match.span("v"))
                if place is None or any(place[0] < end and start < place[1] for start, end in taken):
                    continue
                if not speaks_for_the_user(sentence, match.start()):
                    continue
                if pattern.proper and not original[place[0]].isupper():
                    continue
                taken.append(place)
                yield from self._claims(event, offset, pattern, match, place, original, sentence)

    def _claims(
        self,
        event: MemoryEvent,
        offset: int,
        pattern: StatementPattern,
        match: re.Match[str],
        place: tuple[int, int],
        original: str,
        sentence: str,
    ) -> Iterator[Claim]:
        slot = pattern.slot.replace("{n}", match["n"] if "n" in match.re.groupindex else "")
        claim = Claim(
            slot=" ".join(slot.replace("favorite", "favourite").split()),
            value="",
            evidence=EvidenceSpan(event.id, 0, 0),
            extractor=self.name,
            polarity=1 if pattern.polarity > 0 else -1,
            scope=ClaimScope("once") if pattern.once else scope_of(original, sentence),
            time=event.time,
            weight=pattern.weight,
            update=pattern.update or is_update(sentence),
        )
        for start, end in _items(sentence, place) if pattern.slot in LISTED else [place]:
            span = EvidenceSpan(event.id, offset + start, offset + end)
            yield replace(claim, value=event.text[span.start : span.end], evidence=span)


def _items(sentence: str, place: tuple[int, int]) -> list[tuple[int, int]]:
    """Split a list such as `peanuts, kiwi and sesame` into its items, if they are short."""
    start, end = place
    if (more := _MORE.match(sentence, end)) is not None and more[0].startswith(","):
        end = more.end()
    cuts = [match.span() for match in _ITEMS.finditer(sentence, start, end)]
    starts, ends = [start, *(cut[1] for cut in cuts)], [*(cut[0] for cut in cuts), end]
    parts = [trim_value(sentence, *part) for part in zip(starts, ends, strict=True)]
    items = [part for part in parts if part is not None]
    short = len(items) == len(parts) and all(len(sentence[one:other].split()) <= 3 for one, other in items)
    return items if short else [place]


def shared_statements(config: MemoryConfig) -> Statements:
    """Return one extractor for all that use these settings, so that each message is read once."""
    return _shared(config.slots)


@lru_cache(maxsize=64)
def _shared(slots: tuple[str, ...]) -> Statements:
    return Statements(MemoryConfig.of(slots=slots))
