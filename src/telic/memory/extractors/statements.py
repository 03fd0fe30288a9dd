"""Statements: what users say outright about themselves, found by patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from telic.memory.claims import GENERAL, Claim, ClaimScope, EvidenceSpan
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.cues import is_update, masked, scope_of, trim_value
from telic.memory.extractors.lexicon import CREATURES
from telic.memory.extractors.names import trim_name
from telic.memory.extractors.patterns import gate_of, slot_patterns, statement_patterns
from telic.memory.extractors.statement_pattern import StatementPattern
from telic.memory.extractors.vetoes import (
    is_code,
    is_fiction,
    is_past,
    is_plan,
    mentions_others,
    question_start,
    speaks_for_the_user,
    text_to_work_on,
)
from telic.memory.words import is_instruction, sentence_spans

__all__ = ["LONGEST_SENTENCE", "Statements", "shared_statements"]

_FIRST_PERSON = re.compile(
    r"\b(?:i|i'm|im|i've|ive|iv|i'd|i'll|my|me|we|we're|we've|our|us|ours|mine|myself|here|nothing beats|spare me|max|budget|at most|pronouns|born|"
    r"up to|more than|allergic|allergy|it's|called|named|answers to|at home|no more|fan of|off|name)\b|[:=/]|\bin (?:english|german|french|spanish|italian|dutch)|back (?:to|on)|^\W*[^\W\d_][\w-]*\W*$"
)
_ELLIPSIS = re.compile(
    r"^(?:\W*\b(?:oh|and|also|so|well|ugh|btw|but|yes|no|honestly|ok|okay|hi|hello|hey|morning|evening|sorry|just|fyi)\b)*\W*(?=(?:really |just |still |absolutely |simply |currently |only |recently |finally |originally |actually )*"
    r"(?:love|hate|prefer|dislike|adore|can't|cant|cannot|(?:don't|dont|never) (?:like|love|enjoy|care|eat|liked|been)|got|have|live|work|used to|no longer|moved|sold|bought|quit|gave up|grew up|left|"
    r"(?P<have>gone|given up|packed in|switched|started|stopped|come round|been|lived|become)|"
    r"(?P<am>allergic|living|working|based|into|keen|fond|tired|moving|relocating|going|back|off|retired|teaching|nursing|studying|training|diabetic|coeliac|celiac|from|born|fluent|sick|"
    r"(?:not )?(?:an? )?(?:big |huge |great |massive )?fan|not (?:into|keen|fond)))\b)"
)
"""The beginning of a sentence that leaves out "I", "I'm" or "I've"."""
_CLAUSE = re.compile(
    r"\b(?:i|it|is|are|was|were|don't|doesn't|didn't|isn't|not|has|have|would|will|could|can|you|your|that|he|she|they|someone)\b"
    r"|^(?:had|got|stuff|name|things|suggestions|same|ones?)$"
)
"""Words of a whole clause: nobody likes or dislikes one."""
_OWN = re.compile(r"\b(?:my|our|we|i|i'm|i've|we've|mine|ours|me|she's|he's|it's|yes)\b")
_MORE = re.compile(r"(?:, [\w-]+(?: [\w-]+)?)*,? (?:and|or) [\w-]+(?: [\w-]+)?(?=\s*(?:[.!?;]|$))")
_ITEMS = re.compile(r",? and | or |, ")
LONGEST_SENTENCE = 400
"""Characters beyond which a sentence is no plain statement. It also bounds the time that the patterns take."""
LISTED = frozenset({"taste", "allergy"})
"""Slots of which one sentence may name several values: "peanuts and kiwi"."""
LASTING = frozenset({"name", "birthday", "pronouns", "origin", "home", "job", "diet", "allergy"})
"""Slots that hold in every situation, whatever else the sentence says of today or of work."""
ONE_A_SENTENCE = frozenset({"birthday", "budget", "origin"})
"""Slots of which the first value in a sentence is meant."""
_CREATURE = re.compile(rf"\b({CREATURES})(?:s|es)?\b")


class Statements:
    """Finds statements in the first person. Quotations, questions, suppositions and what others like are left out.

    Args:
        config: the slots of the purpose.
    """

    name = "statements"

    def __init__(self, config: MemoryConfig) -> None:
        own = [pattern for slot in config.slots for pattern in slot_patterns(slot)]
        patterns = (*own, *statement_patterns())
        self._patterns = tuple(one for one in patterns if not one.message)
        self._whole = tuple(one for one in patterns if one.message)
        self._whole_gates = {pattern.slot: gate_of(pattern.slot) for pattern in self._whole}
        self._gates = {pattern.slot: gate_of(pattern.slot) for pattern in patterns}
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
        if is_fiction(text) or is_code(text):
            return
        limit = text_to_work_on(text)
        if limit == len(text) <= LONGEST_SENTENCE:
            whole = list(self._in_message_patterns(event, text))
            yield from whole if whole and not is_instruction(event.text) else ()
        for start, end in sentence_spans(text):
            if start >= limit or end - start > LONGEST_SENTENCE:
                continue
            found = list(self._in_part(event, start, text[start : min(end, limit)]))
            if found and not is_instruction(event.text[start:end]):  # asked last, since it takes long
                yield from found

    def _in_part(self, event: MemoryEvent, start: int, sentence: str) -> Iterator[Claim]:
        """Yield the statements of a sentence, with its subject or without."""
        if match := _ELLIPSIS.match(sentence):
            yield from self._in_ellipsis(event, start, sentence, match)
        elif _FIRST_PERSON.search(sentence):
            yield from self._in_sentence(event, start, sentence)

    def _in_message_patterns(self, event: MemoryEvent, text: str) -> Iterator[Claim]:
        """Yield what only the whole of a short message says: "Ziggy ate a sock. He's my spaniel"."""
        if is_past(text) or not _OWN.search(text):
            return
        gates = {slot: gate is None or gate.search(text) is not None for slot, gate in self._whole_gates.items()}
        for pattern in self._whole:
            if not gates[pattern.slot]:
                continue
            for match in pattern.regex.finditer(text):
                place = _place_of(pattern, match, text, event.text, len(text))
                if place is not None and speaks_for_the_user(text, 0) and not mentions_others(text, pronouns=False):
                    yield from self._claims(event, 0, pattern, match, place, event.text, text)

    def _in_ellipsis(self, event: MemoryEvent, offset: int, sentence: str, match: re.Match[str]) -> Iterator[Claim]:
        """Yield the statements of a sentence without its subject: "love jazz!"."""
        start, subject = match.end(), "i'm " if match["am"] else "i've " if match["have"] else "i "
        text = f"{event.text[: offset + start]}{subject}{event.text[offset + start :]}"
        completed = f"{sentence[:start]}{subject}{sentence[start:]}"
        for claim in self._in_sentence(replace(event, text=text), offset, completed):
            first, last = (place - len(subject) for place in (claim.evidence.start, claim.evidence.end))
            if first >= offset + start and event.text[first:last] == claim.value:
                yield replace(claim, evidence=replace(claim.evidence, start=first, end=last))

    def _in_sentence(self, event: MemoryEvent, offset: int, sentence: str) -> Iterator[Claim]:
        original = event.text[offset : offset + len(sentence)]
        taken: list[tuple[int, int]] = []
        slots: set[str] = set()
        question = question_start(sentence)
        past = is_past(sentence[:question])
        passed = {slot: gate is None or gate.search(sentence) is not None for slot, gate in self._gates.items()}
        for pattern in self._patterns:
            if not passed[pattern.slot]:
                continue
            for match in pattern.regex.finditer(sentence):
                end = len(sentence) if pattern.asks else question
                place = _place_of(pattern, match, sentence, original, end)
                if place is None or any(place[0] < end and start < place[1] for start, end in taken):
                    continue
                if past and not (pattern.past or pattern.update):
                    continue
                if pattern.lone and mentions_others(sentence[:question]):
                    continue
                if pattern.slot in ONE_A_SENTENCE and pattern.slot in slots:
                    continue
                if not (pattern.asks or speaks_for_the_user(sentence[:question], match.start())):
                    continue
                if not pattern.plain and pattern.slot in LASTING and is_plan(sentence, match.start(), place[0]):
                    continue
                taken.append(place)
                slots.add(pattern.slot)
                yield from self._claims(event, offset, pattern, match, place, original, sentence[:question])

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
        if slot == "pet name" and (creature := _CREATURE.search(masked(event.text))) is not None:
            slot = f"{creature[1]} name"
        scope = ClaimScope("once") if pattern.once else scope_of(original, sentence)
        if slot in LASTING or (slot == "language" and scope.kind == "context") or slot.endswith(" name"):
            scope = GENERAL
        claim = Claim(
            slot=" ".join(slot.replace("favorite", "favourite").split()),
            value="",
            evidence=EvidenceSpan(event.id, 0, 0),
            extractor=self.name,
            polarity=1 if pattern.polarity > 0 else -1,
            scope=scope,
            time=event.time,
            weight=pattern.weight,
            update=pattern.update or is_update(sentence),
        )
        whole = match.string
        for start, end in _items(whole, place) if pattern.slot in LISTED else [place]:
            span = EvidenceSpan(event.id, offset + start, offset + end)
            yield replace(claim, value=event.text[span.start : span.end], evidence=span)


def _place_of(
    pattern: StatementPattern, match: re.Match[str], sentence: str, original: str, end: int
) -> tuple[int, int] | None:
    """Return the place of a value, without what does not belong to it; None if nothing is left before `end`."""
    start, last = match.start("v"), min(match.end("v"), end)
    if match.start() >= end or start >= last:
        return None
    if pattern.form == "as is":
        return (start, last) if last == match.end("v") else None
    if pattern.form == "phrase":
        if pattern.slot == "job" and len(sentence[start:last].split()) > 6:
            last = start + len(re.split(r" (?:and|who|that|which|with) ", sentence[start:last], maxsplit=1)[0])
        place = trim_value(sentence, start, last)
        no_taste = pattern.slot == "taste" and place is not None and _CLAUSE.search(sentence[slice(*place)])
        return None if no_taste else place
    place = trim_name(original, start, last, capitals=pattern.form == "name")
    if pattern.slot == "name" and place is not None and pattern.form == "name":
        whole = original[start : place[0]].strip() + original[place[1] : last].strip(" .")
        return None if whole else place  # more than a name stands where the name would
    return place


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
