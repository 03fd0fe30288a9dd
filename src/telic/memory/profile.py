"""The profile of a user: a pure fold over claims. The same claims in the same order give the same profile."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from telic.memory.claims import Claim, ClaimScope
from telic.memory.config import DOUBT, IDENTITY, MOOD, MemoryConfig
from telic.memory.words import content_stems, key_of

__all__ = ["Fact", "OpenQuestion", "UserProfile"]

DAY = 86400.0
STATED = 1.0
"""Weight from which a claim was said outright, so that its opposite is a conflict and not a further observation."""
STRONG = 0.25
"""Decayed weight of what was known, from which a conflict is strong enough to ask about."""
LONGEST_HISTORY = 50
"""Claims that a fact keeps as its evidence: the first one and the latest ones."""

_DOUBT_STEMS = {
    slot: set(content_stems(words))
    for slot, words in {
        "home": "home live moved city",
        "job": "job work career retired",
        "diet": "diet eat",
        "budget": "budget spend",
    }.items()
}
"""Words by which a sentence about a change names a slot."""

FactKey: TypeAlias = tuple[str, str, str]
"""Slot, key of the value, key of the scope."""


@dataclass(slots=True, eq=False)
class Fact:
    """What is believed of a user, with its evidence. `likes` and `dislikes` of one value are one fact."""

    slot: str
    value: str
    scope: ClaimScope
    valid_from: float
    valid_to: float | None = None
    """When it ended; None if it holds."""
    positive: float = 0.0
    """Weight of the claims that it is so, or is liked, decayed up to `updated`."""
    negative: float = 0.0
    updated: float = 0.0
    half_life: float = math.inf
    """In seconds; infinite for identity."""
    evidence: list[Claim] = field(default_factory=list)

    @property
    def polarity(self) -> int:
        """1: it is so, or is liked; -1: it is not so, or is disliked."""
        return 1 if self.positive >= self.negative else -1

    def counts_at(self, time: float) -> tuple[float, float]:
        """Return the decayed weights for and against, at a time."""
        factor = 1.0 if math.isinf(self.half_life) else 0.5 ** (max(0.0, time - self.updated) / self.half_life)
        return self.positive * factor, self.negative * factor

    def probability_at(self, time: float) -> float:
        """Return the mean of the Beta distribution (uniform prior) that it is so, or is liked, at a time."""
        positive, negative = self.counts_at(time)
        return (1 + positive) / (2 + positive + negative)

    @property
    def rank(self) -> float:
        """The logarithm of its weight as of the year 1970: the order of facts does not change as time passes."""
        weight = max(self.positive, self.negative, 1e-9)
        return math.log2(weight) + (math.inf if math.isinf(self.half_life) else self.updated / self.half_life)

    def add(self, claim: Claim) -> None:
        """Count a claim."""
        self.positive, self.negative = self.counts_at(claim.time)
        self.updated = max(self.updated, claim.time)
        if claim.polarity > 0:
            self.positive += claim.weight
        else:
            self.negative += claim.weight
        self.evidence.append(claim)
        if len(self.evidence) > LONGEST_HISTORY:
            del self.evidence[1]

    def as_dict(self, time: float) -> dict[str, Any]:
        """Return the fact as JSON types."""
        return {
            "slot": self.slot, "value": self.value, "polarity": self.polarity, "scope": self.scope.kind,
            "context": self.scope.words, "valid_from": self.valid_from, "valid_to": self.valid_to,
            "probability": round(self.probability_at(time), 3),
            "evidence": [claim.as_dict() for claim in self.evidence],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A contradiction that only the user can resolve."""

    slot: str
    known: str
    """What was known, in the user's words."""
    said: str
    """What was said now."""
    event: str
    """The event that contradicts."""
    key: FactKey
    """The fact that is in question."""
    known_polarity: int = 1
    said_polarity: int = 1
    """0: the user only said that something changed."""


class UserProfile:
    """Everything believed of one user.

    Args:
        config: which slots have one value, and the half-life.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._half_life = config.half_life_days * DAY
        self._open: dict[FactKey, Fact] = {}
        self._single: dict[tuple[str, str], FactKey] = {}
        self._by_stem: dict[str, set[FactKey]] = {}
        self._moods: dict[str, list[tuple[set[str], Claim]]] = {}
        """By stem: sentences that spoke well or badly of something."""
        self._ranked: list[Fact] | None = None
        self.closed: list[Fact] = []
        """What was believed once."""
        self.questions: dict[FactKey, OpenQuestion] = {}
        """Open questions to the user."""
        self.one_offs: dict[str, list[Claim]] = {}
        """By event: what was said for one conversation only."""

    @classmethod
    def fold(cls, claims: Iterable[Claim], config: MemoryConfig) -> UserProfile:
        """Make the profile of claims, in their order."""
        profile = cls(config)
        for claim in claims:
            profile.add(claim)
        return profile

    def add(self, claim: Claim) -> None:
        """Take in one claim."""
        if claim.scope.kind == "once":
            self.one_offs.setdefault(claim.evidence.event, []).append(claim)
            return
        self._ranked = None
        if claim.slot == DOUBT:
            self._doubt(claim)
        elif claim.slot == MOOD:
            self._mood(claim)
        elif self._config.is_single(claim.slot):
            self._add_single(claim)
        else:
            self._add_graded(claim)

    def facts(self) -> Iterator[Fact]:
        """Yield what is believed now, in no order; what is in question is left out."""
        return (fact for key, fact in self._open.items() if key not in self.questions)

    def ranked(self, most: int) -> list[Fact]:
        """Return what is believed now, strongest and latest first, identity before everything else."""
        if self._ranked is None or len(self._ranked) < min(most, len(self._open)):
            self._ranked = heapq.nlargest(most, self.facts(), key=lambda fact: (fact.rank, fact.valid_from))
        return self._ranked[:most]

    def about(self, stems: Iterable[str]) -> list[Fact]:
        """Return what is believed now and has one of these stems in its slot, value or context."""
        keys = {key: None for stem in stems for key in sorted(self._by_stem.get(stem, ()))}
        return [self._open[key] for key in keys if key not in self.questions]

    def of_slot(self, slot: str) -> list[Fact]:
        """Return what is believed now about a slot."""
        return [fact for fact in self.facts() if fact.slot == slot]

    def everything(self) -> Iterator[Fact]:
        """Yield all facts: those that hold, those in question, and those that ended."""
        yield from self._open.values()
        yield from self.closed

    def holds(self, claim: Claim) -> bool:
        """Whether what a claim says is believed now: it is neither over, nor in question, nor for a context only."""
        key = _key(claim)
        fact = self._open.get(key)
        return (
            claim.scope.kind == "general"
            and fact is not None
            and key not in self.questions
            and (fact.polarity == claim.polarity or self._config.is_single(claim.slot))
        )

    def _add_single(self, claim: Claim) -> None:
        key, scope = _key(claim), _scope_key(claim.scope)
        current = self._single.get((claim.slot, scope))
        if claim.polarity < 0:
            if current is not None and _same_value(current[1], key[1]):
                self._close(current, claim)
            return
        question = self.questions.get(current) if current is not None else None
        if current is None:
            self._begin(key, claim)
        elif _same_value(current[1], key[1]) and (
            current[1] == key[1]
            or (not claim.update and claim.slot in IDENTITY)
            or (not claim.update and not set(current[1].split()) < set(key[1].split()))
        ):
            self._open[current].add(claim)
            self.questions.pop(current, None)
        elif question is None and claim.slot in IDENTITY and not claim.update:
            self.questions[current] = OpenQuestion(
                claim.slot, self._open[current].value, claim.value, claim.evidence.event, current
            )
        else:  # it changed, or the user answered the question
            self._close(current, claim)
            self._begin(key, claim)

    def _add_graded(self, claim: Claim) -> None:
        key = _key(claim)
        fact = self._open.get(key)
        if fact is None:
            self._begin(key, claim)
            if claim.slot == "taste" and not claim.update:
                self._ask_about_mood(key)
            return
        positive, negative = fact.counts_at(claim.time)
        against = negative if claim.polarity > 0 else positive
        opposed = fact.polarity != claim.polarity and claim.weight >= STATED
        question = self.questions.pop(key, None)
        if opposed and (claim.update or (question is not None and question.said_polarity in (0, claim.polarity))):
            self._close(key, claim)
            self._begin(key, claim)
        elif opposed and against >= STRONG and question is None:
            self.questions[key] = OpenQuestion(
                claim.slot, fact.value, claim.value, claim.evidence.event, key, fact.polarity, claim.polarity
            )
            fact.evidence.append(claim)
        else:
            fact.add(claim)

    def _doubt(self, claim: Claim) -> None:
        """Open questions about the facts that a sentence about a change mentions."""
        stems = set(content_stems(claim.value))
        about = {key for stem in stems for key in self._by_stem.get(stem, ())}
        about |= {key for (slot, _), key in self._single.items() if stems & _DOUBT_STEMS.get(slot, set())}
        for key in sorted(about):
            fact = self._open[key]
            mentioned = set(key[1].split()) <= stems
            named = self._config.is_single(fact.slot) and bool(
                stems & (set(content_stems(fact.slot)) | _DOUBT_STEMS.get(fact.slot, set()))
            )
            if (
                (mentioned or named)
                and key not in self.questions
                and claim.evidence.event != fact.evidence[-1].evidence.event
            ):
                self.questions[key] = OpenQuestion(
                    fact.slot, fact.value, claim.value, claim.evidence.event, key, fact.polarity, 0
                )

    def _mood(self, claim: Claim) -> None:
        """Open questions about likings that a sentence mentions and speaks otherwise of."""
        stems = set(content_stems(claim.value))
        for stem in stems:
            self._moods.setdefault(stem, []).append((stems, claim))
        for key in sorted({key for stem in stems for key in self._by_stem.get(stem, ())}):
            fact = self._open[key]
            mentioned = fact.slot == "taste" and set(key[1].split()) <= stems
            if mentioned and fact.polarity != claim.polarity and key not in self.questions:
                self.questions[key] = OpenQuestion(
                    fact.slot, fact.value, claim.value, claim.evidence.event, key, fact.polarity, 0
                )

    def _ask_about_mood(self, key: FactKey) -> None:
        """Open a question about a new liking if an earlier sentence spoke otherwise of it."""
        words, fact = set(key[1].split()), self._open[key]
        earlier = self._moods.get(next(iter(sorted(words)), ""), ())
        against = [mood for stems, mood in earlier if words <= stems and mood.polarity != fact.polarity]
        if against:
            event = fact.evidence[-1].evidence.event
            self.questions[key] = OpenQuestion(fact.slot, fact.value, against[-1].value, event, key, fact.polarity, 0)

    def _begin(self, key: FactKey, claim: Claim) -> None:
        half_life = math.inf if claim.slot in IDENTITY else self._half_life
        fact = Fact(claim.slot, claim.value, claim.scope, claim.time, updated=claim.time, half_life=half_life)
        fact.add(claim)
        self._open[key] = fact
        if self._config.is_single(claim.slot):
            self._single[claim.slot, key[2]] = key
        for stem in _stems(fact):
            self._by_stem.setdefault(stem, set()).add(key)

    def _close(self, key: FactKey, claim: Claim) -> None:
        fact = self._open.pop(key)
        fact.valid_to = claim.time
        self.closed.append(fact)
        self.questions.pop(key, None)
        if self._single.get((fact.slot, key[2])) == key:
            del self._single[fact.slot, key[2]]
        for stem in _stems(fact):
            self._by_stem[stem].discard(key)


def _stems(fact: Fact) -> set[str]:
    return set(content_stems(f"{fact.slot} {fact.value} {fact.scope.words}"))


def _key(claim: Claim) -> FactKey:
    return claim.slot, key_of(claim.value), _scope_key(claim.scope)


def _scope_key(scope: ClaimScope) -> str:
    return key_of(scope.words) if scope.kind == "context" else ""


def _same_value(known: str, said: str) -> bool:
    """Whether two values of a single-valued slot are the same: equal, or one has the other's words in it."""
    if known == said:
        return True
    a, b = set(known.split()), set(said.split())
    return bool(a and b) and (a <= b or b <= a)
