"""Moods: sentences that speak well or badly of something, in words that no pattern understands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.claims import Claim, EvidenceSpan
from telic.memory.config import MOOD, MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.cues import is_update, masked
from telic.memory.extractors.statements import LONGEST_SENTENCE, shared_statements
from telic.memory.extractors.vetoes import (
    is_code,
    is_fiction,
    is_past,
    mentions_others,
    question_start,
    speaks_for_the_user,
)
from telic.memory.words import is_instruction, sentence_spans

__all__ = ["Moods"]

_OWN = re.compile(r"\b(?:i|i'm|im|i've|ive|i'd|me|my|mine|we|we're|we've|our)\b")
_GOOD = (
    r"love|loved|loving|(?:i|we|really|quite|do|to|actually|even|now) like|liked|liking|enjoy\w*|ador\w+|fond|fan|into|keen|favou?rites?|wonderful|amazing|brilliant|lovely|fantastic|delicious|happy|glad|pleasure|joy|bliss|heaven|"
    r"converted|convert|growing on me|grown on me|grew on me|won me over|can't get enough|cannot get enough|hooked|obsessed|addicted|delight\w*|beautiful|yes please|charm\w*|soothing|relaxing|the thing for me"
)
_BAD = (
    r"hat(?:e|ed|ing)|loath\w+|detest\w*|despis\w+|dislik\w+|awful|horrible|terrible|dreadful|disgusting|revolting|vile|gross|boring|bor(?:es|ed)|tedious|worst|sick of|tired of|fed up|bother\w*|annoy\w*|avoid\w*|can't stand|cannot stand|"
    r"can't bear|cannot bear|unbearable|gone off|went off|put off|puts me off|turns? me off|lost interest|over it|no thanks|never again|yuck|ugh|nightmare|torture|rather not|overrated|dread\w*|wince|shudder|had enough|done with|"
    r"spare me|leave out"
)
_FEELING = re.compile(rf"\b(?:(?P<good>{_GOOD})|(?P<bad>{_BAD}))\b")
_NOT = re.compile(
    r"(?:\bnot?|n't|\bnever|\bnothing|\bno longer|\bhardly|\bstopped|\bcannot|\bcant|\bdont|\bused to)\b[^,;:]{0,20}$"
)


class Moods:
    """Notes how users speak of things where no statement is found: "trams have grown on me".

    It is no liking by itself. Where it contradicts a known one, the profile asks, and does not use that one meanwhile.

    Args:
        config: the slots of the purpose.
    """

    name = "moods"

    def __init__(self, config: MemoryConfig) -> None:
        self._statements = shared_statements(config)

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield a mood for each sentence of the first person that has one and no statement."""
        if event.kind != "message":
            return
        text = masked(event.text)
        if not _FEELING.search(text) or is_fiction(text) or is_code(text):
            return
        understood = [claim.evidence.start for claim in self._statements.extract(event)]
        for start, end in sentence_spans(text):
            sentence = text[start:end]
            feelings = [*_FEELING.finditer(sentence[: question_start(sentence)])]
            if not feelings or end - start > LONGEST_SENTENCE or any(start <= place < end for place in understood):
                continue
            if not _OWN.search(sentence) or mentions_others(sentence):
                continue
            if not speaks_for_the_user(sentence, 0) or not speaks_for_the_user(sentence, feelings[0].start()):
                continue
            signs = {_sign(sentence, one) for one in feelings}
            if len(signs) > 1 or is_past(sentence) or is_instruction(event.text[start:end]):
                continue
            span = EvidenceSpan(event.id, start, end)
            said = event.text[start:end]
            yield Claim(
                slot=MOOD,
                value=said,
                evidence=span,
                extractor=self.name,
                polarity=1 if signs == {1} else -1,
                time=event.time,
                weight=0.0,
                update=is_update(sentence),
            )


def _sign(sentence: str, feeling: re.Match[str]) -> int:
    sign = 1 if feeling["good"] else -1
    return -sign if _NOT.search(sentence[: feeling.start()]) else sign
