"""Doubts: messages that say that something changed, in words that no pattern understands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.claims import Claim, EvidenceSpan
from telic.memory.config import DOUBT, MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.cues import masked
from telic.memory.extractors.statements import shared_statements
from telic.memory.extractors.vetoes import is_fiction, question_start, speaks_for_the_user
from telic.memory.words import is_instruction, sentence_spans

__all__ = ["Doubts"]

_CHANGE = re.compile(
    r"\b(?:no longer|any ?more|any longer|changed|moved|relocated|switched|used to|stopped|tired of|gave up|given up|quit|"
    r"another|old one|new one|my new|a new|these days|not true|wrong|sold|divorced|retired)\b"
)
_OWN = re.compile(r"\b(?:i|i'm|im|i've|ive|my|we|we're|we've|our)\b")


class Doubts:
    """Casts doubt on what is known where the user says that something changed and no statement is found.

    A doubt holds no value. The profile asks about the facts that the sentence mentions, and does not use them meanwhile.

    Args:
        config: the slots of the purpose.
    """

    name = "doubts"

    def __init__(self, config: MemoryConfig) -> None:
        self._statements = shared_statements(config)

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield a doubt for each sentence that tells of a change."""
        if event.kind != "message":
            return
        text = masked(event.text)
        places = [(*place,) for place in sentence_spans(text) if _CHANGE.search(text[slice(*place)])]
        if not places or is_fiction(text):
            return
        understood = [claim.evidence.start for claim in self._statements.extract(event)]
        for start, end in places:
            sentence = text[start:end]
            found = any(start <= place < end for place in understood)
            if (
                found
                or question_start(sentence) == 0
                or not _OWN.search(sentence)
                or not speaks_for_the_user(sentence, 0)
            ):
                continue
            if not is_instruction(event.text[start:end]):
                span = EvidenceSpan(event.id, start, end)
                yield Claim(DOUBT, event.text[start:end], span, self.name, time=event.time, weight=0.0)
