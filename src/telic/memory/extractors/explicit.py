"""Explicit requests: "remember that ...", "from now on ...", "forget ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.claims import Claim, EvidenceSpan, ForgetRequest
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.cues import masked, scope_of
from telic.memory.extractors.statements import LONGEST_SENTENCE, shared_statements
from telic.memory.words import is_instruction, sentence_spans

__all__ = ["ExplicitRequests", "forget_requests"]

# Every gap can be matched in one way only: otherwise, a row of such words would take exponential time.
_OPENING = (
    r"^(?:\W*\b(?:and|also|so|but|ok|okay|oh|well|now|hey|hi|please|kindly|just|could you|can you|would you|"
    r"i want you to|you should)\b)*[\s,]*"
)
_REMEMBER = re.compile(
    _OPENING
    + r"(?:remember|memori[sz]e|note(?: down)?|make a note|take note|keep in mind|bear in mind|don't forget|do not forget|"
    r"for (?:future reference|the record)|save this|from now on|in (?:the )?future)\b(?:\s*(?:that|this|of|for me|please)\b)*[\s,:]*(?P<v>.+)$",
    re.DOTALL,
)
_ALWAYS = re.compile(_OPENING + r"(?P<v>(?:always|never) (?!mind\b|heard\b|seen\b|been\b)\w+ .+)$", re.DOTALL)
_FORGET = re.compile(
    _OPENING + r"(?:forget|stop remembering|don't remember|do not remember|unremember|"
    r"(?:delete|erase|remove|clear)(?=.*\b(?:memor(?:y|ies)|you (?:know|remember|have stored|stored)|about me)\b))\b(?P<v>.*)$",
    re.DOTALL,
)
_SUBJECT = re.compile(r"^\s*(?:that|about|what|my|the (?:fact|thing|part)|i|i'm|everything|anything|all|from)\b")
_NEVER_MIND = re.compile(r"^\s*(?:all )?(?:that|this|it)\s*[,;:–—-]")
"""\"Forget that, I will walk\" takes back what was just said, and asks to forget nothing."""
_ABOUT = re.compile(
    r"^\s*(?:(?:that|about|again|the (?:fact|thing|part)|what (?:i|you) (?:said|told you|know|remember|have stored|stored)|"
    r"everything|anything|please|you know|i said|i told you|from (?:your )?memory|of|on|ever)\b[\s,]*)*"
)
_ALL = re.compile(
    r"^\W*(?:all|everything|anything)(?: that)?(?: (?:you (?:know|remember|have stored|stored|learned|learnt)|"
    r"i(?:'ve| have)? (?:ever )?(?:said|told you|mentioned)))?(?: about me| of me)?(?: please| from (?:your )?memory)*\W*$"
    r"|^\W*(?:all )?(?:of )?(?:my|your) (?:memor(?:y|ies)|data)(?: of me| about me)?(?: please)?\W*$"
)
_LEAST = 3
"""Letters that a request must have to be about something."""


class ExplicitRequests:
    """Keeps what users ask to remember. What the statements' patterns understand is left to them.

    Args:
        config: the slots of the purpose.
    """

    name = "explicit"

    def __init__(self, config: MemoryConfig) -> None:
        self._statements = shared_statements(config)

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield a note for each request."""
        if event.kind != "message":
            return
        text = masked(event.text)
        understood = [claim.evidence for claim in self._statements.extract(event)]
        for start, end in sentence_spans(text):
            sentence, original = text[start:end], event.text[start:end]
            if end - start > LONGEST_SENTENCE or sentence.endswith("?"):
                continue
            match = _REMEMBER.match(sentence) or _ALWAYS.match(sentence)
            if match is None or is_instruction(original):
                continue
            if any(start <= span.start < end for span in understood):
                continue
            first, last = start + match.start("v"), start + match.end("v")
            value = event.text[first:last].rstrip(" .!\n")
            if sum(char.isalpha() for char in value) >= _LEAST:
                span = EvidenceSpan(event.id, first, first + len(value))
                yield Claim("note", value, span, self.name, scope=scope_of(original, sentence), time=event.time)


def forget_requests(event: MemoryEvent) -> list[ForgetRequest]:
    """Return what a message of the user asks to forget."""
    if event.kind != "message" or event.speaker != "user" or event.forgotten:
        return []
    text, found = masked(event.text), []
    for start, end in sentence_spans(text):
        if end - start > LONGEST_SENTENCE or text[start:end].endswith("?"):
            continue
        match = _FORGET.match(text[start:end])
        if match is None or not _SUBJECT.match(match["v"]) or _NEVER_MIND.match(match["v"]):
            continue
        if _ALL.match(match["v"]):
            found.append(ForgetRequest(event.id, ""))
            continue
        cut = _ABOUT.match(match["v"])
        first = start + match.start("v") + (cut.end() if cut else 0)
        if about := event.text[first:end].strip(" .!,:"):
            found.append(ForgetRequest(event.id, about))
    return found
