"""Customers who show how they feel: a hidden satisfaction, and the words and actions that it leads to.

A reply that asks for something new pleases the customer, one that asks in vain or asks nothing does not. The customer
says what it thinks of a reply now and then, in the words of a *voice*; it asks again in other words, leaves, or buys.
Some say the opposite of what they feel, out of politeness or habit. A *troll* always does: it praises what is bad and
blames what is good. `benchmarks.flywheel` learns from such words and actions alone.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from telic.errors import ConfigError
from telic.games.elicitation_domain import phrasings
from telic.games.elicitation_user import Customer, CustomerAnswer
from telic.registry import suggest

__all__ = ["Mood", "Reaction", "Voice", "load_voice", "voices"]

Texts = Annotated[tuple[str, ...], Field(min_length=1)]
EFFECT = {"each slot": 0.22, "in vain": -0.4, "nothing asked": -0.3, "breach": -0.5}
"""What a reply changes of the satisfaction."""
NOISE, START = 0.12, (0.1, 0.2)
"""Standard deviation of each change; mean and standard deviation of the satisfaction at the start."""
TALKATIVE = (0.1, 0.25, 0.5)
"""How likely customers are to say what they think of a reply; each has one of these."""
CONTRARY = 0.08
"""Probability that a customer says the opposite of what it thinks."""
FELT = 0.08
"""Least change that a customer comments on."""
FED_UP, LEAVING = -0.45, 0.5
"""Satisfaction below which a customer may leave, and how likely it then does."""
SILENT, REPEATING = 0.4, 0.3
"""Share of those who leave without a word, and of complaints that repeat the request."""
BUYING = 0.5
"""Satisfaction at which every other customer buys in the end."""
_GREETING = re.compile(
    r"^(?:hello|hi|hey|good (?:day|morning|afternoon|evening))\b[^.,!?]{0,12}[.,!?]\s*", re.IGNORECASE
)


class Voice(BaseModel):
    """Ways to show what one thinks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pleased: Texts
    displeased: Texts
    repeats: Texts
    """Asks again; `{request}` is what the customer came for."""
    leaves: Texts
    satisfied: Texts
    """At the end."""
    dissatisfied: Texts


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a customer says to a reply, and whether it leaves."""

    text: str
    """Empty if the customer leaves without a word."""
    leaves: bool = False


class Mood:
    """The hidden satisfaction of one customer.

    Args:
        customer: the customer.
        voice: its words.
        trolls: share of trolls among all customers.
    """

    def __init__(self, customer: Customer, voice: Voice, trolls: float = 0.0) -> None:
        self._customer, self._voice = customer, voice
        self._rng = rng = Random(f"mood/{customer.domain.name}/{customer.split}/{customer.seed}")
        self.troll = rng.random() < trolls
        """Whether it says the opposite of what it thinks, always and of every reply."""
        self.satisfaction = rng.gauss(*START)
        """From -1 to 1."""
        self.changes: list[float] = []
        """What each reply changed."""
        self.bought = False
        self._talkative = 1.0 if self.troll else rng.choice(TALKATIVE)

    def react(self, answer: CustomerAnswer, closing: bool) -> Reaction:
        """React to a reply of the agent.

        Args:
            answer: the customer's answer to it.
            closing: whether the dialogue ends with this answer.
        """
        rng, changed = self._rng, _effect(answer) + self._rng.gauss(0, NOISE)
        self.changes.append(changed)
        self.satisfaction = max(-1.0, min(1.0, self.satisfaction + changed))
        if not self.troll and self.satisfaction < FED_UP and rng.random() < LEAVING:
            return Reaction("" if rng.random() < SILENT else self._say(self._voice.leaves), leaves=True)
        parts = [answer.text]
        if closing:
            self.bought = not self.troll and rng.random() < 1 / (1 + math.exp(-5 * (self.satisfaction - BUYING)))
        if abs(changed) > FELT and rng.random() < self._talkative:
            parts = self._comment(answer.text, changed > 0, closing)
        return Reaction(" ".join(parts))

    def _comment(self, text: str, pleased: bool, closing: bool) -> list[str]:
        """Add a comment to what the customer says."""
        voice, rng = self._voice, self._rng
        if self.troll or rng.random() < CONTRARY:
            pleased = not pleased
        if closing:
            return [text, self._say(voice.satisfied if pleased else voice.dissatisfied)]
        if not pleased and rng.random() < REPEATING:
            request = rng.choice(phrasings(self._customer.domain.openers, self._customer.split))
            return [self._say(voice.repeats).replace("{request}", _GREETING.sub("", request))]
        said = self._say(voice.pleased if pleased else voice.displeased)
        return [said, text] if rng.random() < 0.5 else [text, said]

    def _say(self, texts: tuple[str, ...]) -> str:
        return self._rng.choice(phrasings(texts, self._customer.split))


def _effect(answer: CustomerAnswer) -> float:
    if answer.breach is not None:
        return EFFECT["breach"]
    if answer.elicited:
        return EFFECT["each slot"] * len(answer.elicited)
    return EFFECT["in vain" if answer.asked else "nothing asked"]


def voices() -> tuple[str, ...]:
    """Return the names of the voices that come with Telic."""
    names = (item.name for item in (resources.files("telic.games") / "data").iterdir())
    return tuple(sorted(name[6:-5] for name in names if name.startswith("voice_")))


@cache
def load_voice(name: str) -> Voice:
    """Load a voice.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in voices():
        raise ConfigError(f"unknown voice {name!r}{suggest(name, list(voices()))}")
    file = resources.files("telic.games") / "data" / f"voice_{name}.toml"
    return Voice.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
