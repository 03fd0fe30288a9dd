"""The customer: a rule-based user simulator with an agenda, which answers only what the agent asks.

It follows the agenda-based simulators of task-oriented dialogue (Schatzmann et al. 2007): the rest of the agenda, not a
model, determines each reply. A reply is a function of the domain, the seed and the agent's utterances.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from random import Random

from telic.errors import ConfigError
from telic.games.base import TEST_SHARE, Split
from telic.games.elicitation_domain import Domain, phrasings

__all__ = ["Customer", "CustomerAnswer"]

DRAWS = 1000
"""Attempts to draw a combination of wishes that belongs to the split."""
OPEN_LIMIT = 2
"""Open questions that elicit something. A policy that only says "tell me more" must not learn everything."""


@dataclass(frozen=True, slots=True)
class CustomerAnswer:
    """The customer's reply to an utterance, and what it reveals."""

    text: str
    elicited: tuple[str, ...] = ()
    """Slots revealed for the first time."""
    asked: tuple[str, ...] = ()
    """Slots that the utterance asked for, answered or not."""
    breach: str | None = None
    """Id of the rule that the utterance broke, if any."""
    leaves: bool = False
    """Whether the customer leaves."""


class Customer:
    """One simulated customer with its wishes.

    Args:
        domain: slots and phrasings.
        seed: determines the wishes, the order of the agenda, and every wording.
        split: `train` and `test` share no combination of wishes, and no phrasing if there are enough of them.
        slots: number of slots with a wish; None for all.
        patience: questions answered at once. Of more than twice as many it answers none.

    Raises:
        ConfigError: the domain has too few slots, or too few combinations for a split.
    """

    def __init__(
        self, domain: Domain, seed: int, *, split: Split = "all", slots: int | None = None, patience: int = 2
    ) -> None:
        count = len(domain.slots) if slots is None else slots
        if not 1 <= count <= len(domain.slots):
            raise ConfigError(f"slots is {slots!r}; domain {domain.name!r} has {len(domain.slots)}")
        self.domain, self.seed, self.split, self.patience = domain, seed, split, patience
        rng = Random(f"{domain.name}/{split}/{seed}")
        self.agenda: tuple[str, ...] = tuple(slot.name for slot in rng.sample(domain.slots, count))
        self.wishes = self._draw(rng)
        """The hidden value by slot."""
        self.opener = rng.choice(phrasings(domain.openers, split))
        self._chatty = rng.choice((0.0, 0.3, 0.7))
        small_talk = phrasings(domain.small_talk, split)
        self._small_talk = rng.sample(small_talk, len(small_talk))
        self.told: list[str] = []
        """Slots revealed so far, in order."""
        self._utterances = self._open_questions = 0

    def answer(self, utterance: str) -> CustomerAnswer:
        """Reply to an utterance of the agent."""
        self._utterances += 1
        rng = Random(f"{self.domain.name}/{self.split}/{self.seed}/{self._utterances}")
        for rule in self.domain.rules:
            if rule.broken_by(utterance):
                return CustomerAnswer(rule.objection, breach=rule.id, leaves=rule.effect == "end")
        lines = self.domain.lines
        asked = self.domain.question_parser.parse(utterance)
        if len(asked.slots) > 2 * self.patience:
            return CustomerAnswer(self._pick(rng, lines.questionnaire), asked=asked.slots)
        if asked.slots:
            return self._answer(rng, asked.slots)
        if asked.open:
            return self._tell_more(rng)
        if asked.suggestion:
            return CustomerAnswer(self._pick(rng, lines.to_suggestion))
        return CustomerAnswer(self._pick(rng, lines.not_understood if asked.question else lines.to_statement))

    def tell(self, slot: str) -> str:
        """Return the wish for a slot as a sentence."""
        rng = Random(f"{self.domain.name}/{self.split}/{self.seed}/{slot}")
        return self._pick(rng, self.domain.by_name[slot].answers, "{value}", self.wishes[slot])

    def _answer(self, rng: Random, asked: Sequence[str]) -> CustomerAnswer:
        lines = self.domain.lines
        fresh = [slot for slot in asked if slot in self.wishes and slot not in self.told]
        said = [self.tell(slot) for slot in fresh[: self.patience]]
        free = [slot for slot in asked if slot not in self.wishes][: self.patience - len(said)]
        said += [self._pick(rng, lines.indifferent, "{label}", self.domain.by_name[slot].label) for slot in free]
        if not said:
            known = next(slot for slot in asked if slot in self.told)
            said = [self._pick(rng, lines.again, "{value}", self.wishes[known])]
        elif len(fresh) > self.patience:
            said.append(self._pick(rng, lines.one_at_a_time))
        elif fresh:
            said += self._chat(rng)
        told = tuple(fresh[: self.patience])
        self.told += told
        return CustomerAnswer(" ".join(said), told, tuple(asked))

    def _tell_more(self, rng: Random) -> CustomerAnswer:
        self._open_questions += 1
        left = [slot for slot in self.agenda if slot not in self.told]
        count = 0 if self._open_questions > OPEN_LIMIT else rng.choice((1, 2)) if self._open_questions == 1 else 1
        told = tuple(left[: min(count, self.patience)])
        if not told:
            return CustomerAnswer(self._pick(rng, self.domain.lines.told_enough))
        self.told += told
        return CustomerAnswer(" ".join([*map(self.tell, told), *self._chat(rng)]), told)

    def _chat(self, rng: Random) -> list[str]:
        return [self._small_talk.pop()] if self._small_talk and rng.random() < self._chatty else []

    def _pick(self, rng: Random, texts: tuple[str, ...], place: str = "", filled: str = "") -> str:
        line = rng.choice(phrasings(texts, self.split))
        line = line.replace(place, filled) if place else line
        return line[:1].upper() + line[1:]

    def _draw(self, rng: Random) -> dict[str, str]:
        """Draw a combination of wishes that belongs to the split."""
        pools = [self.domain.by_name[slot].values for slot in self.agenda]
        for _ in range(DRAWS if self.split != "all" else 1):
            wishes = dict(zip(self.agenda, map(rng.choice, pools), strict=True))
            if self.split in ("all", _split_of(wishes)):
                return wishes
        raise ConfigError(
            f"domain {self.domain.name!r}: {prod(map(len, pools))} combinations of wishes are too few for a split; "
            'add slots or values, or use split = "all"'
        )


def _split_of(wishes: dict[str, str]) -> Split:
    # hash() is salted per process; a checksum puts a combination on the same side everywhere.
    combination = ";".join(f"{slot}={wishes[slot]}" for slot in sorted(wishes))
    return "train" if zlib.crc32(combination.encode()) % TEST_SHARE else "test"
