"""The memory of one user: an evidence log, folded into a profile and into passages as it grows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import uuid4

from telic.errors import DataError
from telic.memory.claims import Claim, EvidenceSpan, ForgetRequest
from telic.memory.config import DOUBT, MOOD, MemoryConfig
from telic.memory.events import MemoryEvent
from telic.memory.extractors.base import ExtractionFailure, Extractor, build_extractors, extract_claims
from telic.memory.extractors.explicit import forget_requests
from telic.memory.notes import UserNotes, write_notes
from telic.memory.passages import SLOT_WORDS, Passages
from telic.memory.profile import Fact, UserProfile
from telic.memory.words import content_stems, key_of, mention, sentence_spans

__all__ = ["FORGOTTEN", "ForgetPlan", "Memory", "Reason", "new_event"]

FORGOTTEN = "[forgotten]"
"""What stands where a text was removed."""
LEAST_LETTERS = 3
"""Letters of a value from which it is also removed where it was only mentioned."""
_OWN = re.compile(r"(?:my|where i|what i|i)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What has to go so that something is forgotten."""

    events: tuple[str, ...]
    """Ids of the events whose whole text is removed."""
    phrases: tuple[str, ...]
    """The user's words that must stay nowhere."""
    everything: bool = False
    rewritten: Mapping[str, str] = field(default_factory=dict)
    """By event: the text of a message of which some sentences stay, with `FORGOTTEN` for the others."""

    def __bool__(self) -> bool:
        return bool(self.events) or bool(self.rewritten) or self.everything


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is believed: one claim, and the words it rests on."""

    fact: Fact
    claim: Claim
    event: MemoryEvent
    holds: bool
    """Whether the fact is believed now."""

    @property
    def quote(self) -> str:
        """The words of the evidence."""
        return self.event.text[self.claim.evidence.start : self.claim.evidence.end]

    def as_dict(self) -> dict[str, Any]:
        """Return the reason as JSON types."""
        return {
            **self.claim.as_dict(), "believed": self.holds, "said": self.event.text, "quote": self.quote,
            "source": self.event.source, "said_at": self.event.time,
        }  # fmt: skip


class Memory:
    """What is remembered of one user. Equal logs give equal memories, event by event or all at once.

    Args:
        config: what is remembered, and how.
        events: the log so far.
        extractors: what reads claims off events; by default all that are registered.
    """

    def __init__(
        self,
        config: MemoryConfig | None = None,
        events: Iterable[MemoryEvent] = (),
        extractors: Sequence[Extractor] | None = None,
    ) -> None:
        self.config = config or MemoryConfig()
        self._extractors = build_extractors(self.config) if extractors is None else list(extractors)
        self._events: dict[str, MemoryEvent] = {}
        self._claims: dict[str, list[Claim]] = {}
        self._failures: dict[str, list[ExtractionFailure]] = {}
        self._removed: set[str] = set()
        """Events that were undone."""
        self.profile = UserProfile(self.config)
        self.passages = Passages(self.config.embeddings)
        self.extend(events)

    @property
    def events(self) -> list[MemoryEvent]:
        """The log, oldest first."""
        return list(self._events.values())

    @property
    def failures(self) -> list[ExtractionFailure]:
        """The extractors that failed, each with the event."""
        return [failure for failures in self._failures.values() for failure in failures]

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, event: str) -> bool:
        return event in self._events

    def extend(self, events: Iterable[MemoryEvent]) -> None:
        """Take in events in the order of the log."""
        refold = False
        for event in events:
            refold = self._take(event, fold=not refold) or refold
        if refold:
            self._refold()

    def add(self, event: MemoryEvent) -> list[ForgetRequest]:
        """Take in one event; returns what its author asks to forget, which is up to the caller (`plan_forgetting`).

        Raises:
            DataError: the log has another event with this id.
        """
        known = self._events.get(event.id)
        if known is not None and known != event:
            raise DataError(f"the log has another event with the id {event.id!r}")
        self.extend([event])
        return forget_requests(event)

    def notes(self, message: str, *, source: str | None = None, budget: int | None = None) -> UserNotes:
        """Write what matters for a reply to a message.

        Args:
            message: what the user says now.
            source: the conversation that goes on.
            budget: most tokens; by default those of the settings.
        """
        config = self.config if budget is None else self.config.model_copy(update={"budget": budget})
        return write_notes(self.profile, self.passages, message, config, source=source, may_quote=self._may_quote)

    def describe(self, now: float | None = None) -> dict[str, Any]:
        """Return everything believed, in question, once believed, and failed, as JSON types; the strongest first."""
        moment = _now() if now is None else now
        return {
            "facts": [fact.as_dict(moment) for fact in self.profile.ranked(len(self._events) * 50)],
            "questions": [asdict(question) for question in self.profile.questions.values()],
            "ended": [fact.as_dict(moment) for fact in self.profile.closed],
            "failures": [asdict(failure) for failure in self.failures],
            "events": len(self._events),
        }

    def why(self, about: str = "") -> list[Reason]:
        """Return the evidence of everything that is or was believed about something, what is believed first.

        Args:
            about: words of a slot or a value; empty for all.
        """
        stems = set(content_stems(about))
        slots = _slots_of(about)
        reasons = []
        for fact in self.profile.everything():
            own = set(content_stems(f"{fact.slot} {fact.value} {fact.scope.words}"))
            if about and fact.slot not in slots and not (stems and stems & own):
                continue
            for claim in fact.evidence:
                event = self._events.get(claim.evidence.event)
                if event is not None:
                    reasons.append(Reason(fact, claim, event, fact.valid_to is None))
        return sorted(reasons, key=lambda reason: (not reason.holds, -reason.claim.time))

    def plan_forgetting(self, about: str, request: str | None = None) -> ForgetPlan:
        """Find what has to be removed so that something is forgotten: its evidence, and every mention of it.

        Args:
            about: words of a slot or a value; empty for everything.
            request: the message in which the user asked, which is removed too. Then only what it clearly names goes:
                a whole value, or a slot ("my diet"). Without one, the words are searched for as they are.
        """
        if not about.strip():
            return ForgetPlan(tuple(self._events), (), everything=True)
        facts = self._facts_named(about, strictly=request is not None)
        spans = self._evidence_of(facts)
        named = [fact for fact in facts if fact.slot != "reply style"]
        phrases = [fact.value for fact in named] + [claim.value for fact in named for claim in fact.evidence]
        stems = set(content_stems(about))
        if request is None and all(stems <= set(content_stems(fact.value)) for fact in facts):
            phrases.append(about.strip())
        for question in self.profile.questions.values():  # what contradicts a forgotten fact goes with it
            known = set(content_stems(question.known))
            if any(_fact_key(fact) == question.key[:2] for fact in facts) and not known <= stems:
                for claim in self._claims.get(question.event, ()):
                    if claim.slot in (question.slot, DOUBT, MOOD):
                        spans.setdefault(question.event, []).append(claim.evidence)
                        phrases += [claim.value] if claim.slot == question.slot else []
        phrases = list(dict.fromkeys(phrase for phrase in phrases if sum(map(str.isalnum, phrase)) >= LEAST_LETTERS))
        either = re.compile("|".join(map(mention, phrases)), re.IGNORECASE) if phrases else None
        gone, rewritten = [], {}
        for event in self._events.values():
            mentioned = either is not None and either.search(_all_text(event)) is not None
            if event.forgotten or not (mentioned or event.id in spans):
                continue
            text = "" if event.id == request else _without(event, either, spans.get(event.id, ()))
            if text:
                rewritten[event.id] = text
            else:
                gone.append(event.id)
        if request is not None and facts and request not in gone:
            gone.append(request)
        return ForgetPlan(tuple(gone), tuple(phrases), rewritten=rewritten)

    def _evidence_of(self, facts: Iterable[Fact]) -> dict[str, list[EvidenceSpan]]:
        """Return the evidence of facts by event, also what a fact no longer lists."""
        keys = {_fact_key(fact) for fact in facts}
        spans: dict[str, list[EvidenceSpan]] = {}
        for claims in self._claims.values():
            for claim in claims:
                if (claim.slot, key_of(claim.value)) in keys:
                    spans.setdefault(claim.evidence.event, []).append(claim.evidence)
        for fact in facts:
            for claim in fact.evidence:
                spans.setdefault(claim.evidence.event, []).append(claim.evidence)
        return spans

    def forget(self, plan: ForgetPlan, *, now: float | None = None, source: str = "api") -> MemoryEvent:
        """Carry out a plan: remove the texts, add a tombstone and fold anew; returns the tombstone.

        The caller removes the same texts from where the log is stored.
        """
        for name in plan.events:
            self._events[name] = self._events[name].without_text()
        for name, text in plan.rewritten.items():
            self._events[name] = replace(self._events[name], text=text)
            self._extract(self._events[name])
        tombstone = new_event("forget", "", source, time=now, events=list(plan.events))
        self.extend([tombstone])
        return tombstone

    def undo(self, *, now: float | None = None, source: str = "api") -> MemoryEvent | None:
        """Take back the latest event that made a claim; returns the entry for the log, or None if there is none.

        What was forgotten is gone and stays so.
        """
        asked = {question.event for question in self.profile.questions.values()}
        latest = next((name for name in reversed(self._events) if name in asked or self._says(name)), None)
        if latest is None:
            return None
        entry = new_event("undo", "", source, time=now, events=[latest])
        self.extend([entry])
        return entry

    def claims_of(self, event: str) -> list[Claim]:
        """Return what was found in an event."""
        return list(self._claims.get(event, ()))

    def _says(self, event: str) -> bool:
        """Whether an event says more than how its author feels about something."""
        return any(claim.slot != MOOD for claim in self._claims.get(event, ()))

    def _take(self, event: MemoryEvent, *, fold: bool) -> bool:
        """Take in one event; returns whether everything has to be folded anew."""
        if event.id in self._events:
            return False
        self._events[event.id] = event
        if event.kind in ("forget", "undo"):
            named = event.data.get("events", [])
            names = {name for name in named if isinstance(name, str)} if isinstance(named, list) else set()
            self._removed |= names
            for name in names:
                self._claims.pop(name, None)
                self._failures.pop(name, None)
            return True
        if event.id in self._removed:
            return False
        claims = self._extract(event)
        if fold:
            for claim in claims:
                self.profile.add(claim)
            self.passages.add(event, claims)
        return False

    def _extract(self, event: MemoryEvent) -> list[Claim]:
        claims, failures = extract_claims(self._extractors, event)
        self._claims.pop(event.id, None)
        self._failures.pop(event.id, None)
        if claims:
            self._claims[event.id] = claims
        if failures:
            self._failures[event.id] = failures
        return claims

    def _refold(self) -> None:
        gone = {
            name for name, claims in self._claims.items() if any(one.evidence.event in self._removed for one in claims)
        }
        for name in gone:
            del self._claims[name]
        ordered = (claim for name in self._events for claim in self._claims.get(name, ()))
        self.profile = UserProfile.fold(ordered, self.config)
        self.passages = Passages(self.config.embeddings)
        for event in self._events.values():
            if event.id not in self._removed and not event.forgotten:
                self.passages.add(event, self._claims.get(event.id, ()))

    def _may_quote(self, event: MemoryEvent) -> bool:
        """Whether a message misleads nobody if it is quoted: all that was found in it is believed now."""
        return event.id not in self._removed and all(
            claim.slot == MOOD or self.profile.holds(claim) for claim in self._claims.get(event.id, ())
        )

    def _facts_named(self, about: str, *, strictly: bool) -> list[Fact]:
        """Return the facts whose slot or whole value is named; unless `strictly`, also those with a part of it."""
        stems, slots = set(content_stems(about)), _slots_of(about)
        if strictly and not _OWN.match(about):
            slots = set()
        found = []
        for fact in self.profile.everything():
            value, slot = set(content_stems(fact.value)), set(content_stems(fact.slot))
            named = fact.slot in slots or (slot and slot <= stems and (not strictly or bool(_OWN.match(about))))
            if (value and value <= stems) or named or (not strictly and stems and stems <= value):
                found.append(fact)
        return found


def new_event(
    kind: Any, text: str, source: str, *, time: float | None = None, speaker: Any = "user", **data: Any
) -> MemoryEvent:
    """Make an event with an id of its own, now if no time is given."""
    return MemoryEvent(uuid4().hex, _now() if time is None else time, kind, source, speaker, text, data)


def _now() -> float:
    return time.time()


def _slots_of(about: str) -> set[str]:
    """Return the known slots that are named, also in other words: `where I live` is `home`."""
    words = set(re.findall(r"[a-z]+", about.casefold()))
    other = {"home": {"live", "address", "city"}, "job": {"work", "profession", "occupation"}, "name": {"called"},
             "taste": {"tastes", "preferences", "likes", "dislikes"}, "allergy": {"allergies", "allergic"}}  # fmt: skip
    exact = {slot for slot in SLOT_WORDS if slot in about.casefold().split()}
    return exact | {slot for slot, names in other.items() if words & names and len(words) <= 4}


def _fact_key(fact: Fact) -> tuple[str, str]:
    return fact.slot, key_of(fact.value)


def _without(event: MemoryEvent, phrase: re.Pattern[str] | None, spans: Sequence[EvidenceSpan]) -> str:
    """Return a message without the sentences that have a phrase or a piece of evidence; empty if nothing is left."""
    if event.kind != "message":
        return ""
    parts = []
    for start, end in sentence_spans(event.text):
        hit = phrase is not None and phrase.search(event.text[start:end]) is not None
        hit = hit or any(span.start < end and start < span.end for span in spans)
        parts.append(FORGOTTEN if hit else event.text[start:end])
    text = " ".join(
        part for index, part in enumerate(parts) if part != FORGOTTEN or parts[index - 1 : index] != [FORGOTTEN]
    )
    kept = text.replace(FORGOTTEN, "")
    return text if any(map(str.isalnum, kept)) and not (phrase is not None and phrase.search(text)) else ""


def _all_text(event: MemoryEvent) -> str:
    """Return an event's text with the texts in its data."""
    return "\n".join([event.text, *(value for value in event.data.values() if isinstance(value, str))])
