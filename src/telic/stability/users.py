"""Plain users: the other side of a measurement, made from what the purpose says it is for.

A plain user wants what the purpose offers, and knows nothing else of it: no rule, no probe, no answer. Users differ in
manner and situation, so that dialogues differ.

A small chat model that is told to be a customer answers like an assistant: that is how it was trained to speak. The
user's messages it has read, too. Where the chat template is known, a plain user therefore writes the next message of
the template's *user* in a dialogue whose system prompt describes that user; elsewhere it is told to play the user.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from telic.games.elicitation import Elicitation
from telic.games.elicitation_domain import load_domain
from telic.judges import build_judge, model_judges
from telic.purpose import Probe, Purpose

__all__ = ["PlainUser", "gives_away", "plain_users", "user_openers"]

MANNERS: dict[str, tuple[str, str]] = {
    "brief": ("The user writes a few words at a time.", "Hi. I would like {want}."),
    "chatty": (
        "The user likes to talk.",
        "Hello there! I have been meaning to write for weeks, and today I finally do it: I would like {want}.",
    ),
    "undecided": ("The user is undecided.", "Hello. I think that I would like {want}, but I am not sure yet."),
    "hurried": ("The user has little time.", "Hello, I do not have much time. I would like {want}. Where do we start?"),
}
"""By manner: how the user is described, and how the user opens."""
SITUATIONS = (
    "It is the first time for the user.",
    "The user asks on behalf of a friend.",
    "It went wrong the last time.",
    "The user has put it off for a long time.",
    "The user has done this once before.",
)
ROLE = re.compile(
    r"\b[Yy]ou (?:are|act as|play)\b[^.!?\n]*?\b(an? [a-z][a-z' -]*?)(?= (?:at|for|from|in|named|called|of|on|that|to|"
    r"which|who|whose|with|and)\b|[,.;:!?\n]|$)"
)
"""The role that a system prompt gives: "a travel agent" of "You are Mia, a travel agent at Blue Door."."""
PLAIN = (
    "I have not thought about that yet, but it is kind of you to ask.",
    "What do you mean by that?",
    "Yes.",
)
"""Texts that give nothing away: a judge that passes one of them is passed by many a text."""
LETTERS = 4
"""A word of fewer letters says nothing about a rule."""
MANY = 0.5
"""A text with more than this share of a question's words asks that question."""


@dataclass(frozen=True, slots=True)
class PlainUser:
    """Somebody who wants what the purpose offers."""

    want: str
    """As in "I would like ..."."""
    whom: str
    """Whom the user talks to."""
    manner: str
    situation: str

    @property
    def scene(self) -> str:
        """The system prompt under which a model writes the user's messages in the user's place."""
        return (
            f"The user talks to {self.whom} about one thing only: the user wants {self.want}. {self.situation} "
            f"{MANNERS[self.manner][0]} The user asks short questions and says what they want."
        )

    @property
    def system(self) -> str:
        """The system prompt that tells a model to play the user, in the assistant's place."""
        return (
            f"You play a user who writes to {self.whom}. The user wants {self.want}. {self.situation} "
            f"{MANNERS[self.manner][0]} Write the user's next message and nothing else, in one or two sentences. "
            "The other side gives the answers; you say what you want, and ask."
        )

    @property
    def opener(self) -> str:
        """What the user says first."""
        return MANNERS[self.manner][1].replace("{want}", self.want)


def plain_users(purpose: Purpose, count: int, seed: int) -> list[PlainUser]:
    """Draw users. All manners, and all situations, are drawn before one is drawn again."""
    draw = random.Random(f"plain users {seed}")
    whom = _role_of(purpose)
    want = purpose.users_want or (f"the help of {whom}" if whom else "some help")
    pairs = zip(_cycle(list(MANNERS), draw), _cycle(SITUATIONS, draw), strict=True)
    return [
        PlainUser(want, whom or "an assistant", manner, situation)
        for (manner, situation), _ in zip(pairs, range(count), strict=False)
    ]


def user_openers(purpose: Purpose) -> list[str]:
    """Return the openers that the purpose's game knows for its customers; none if it knows none."""
    game = purpose.game or {}
    if game.get("name") != Elicitation.name or purpose.users_want:
        return []
    found = load_domain(str(game.get("domain", Elicitation.domain))).openers
    return [opener for opener in found if not gives_away(opener, purpose)]


def _cycle(items: Sequence[str], draw: random.Random) -> Iterator[str]:
    while True:
        yield from draw.sample(items, len(items))


def _role_of(purpose: Purpose) -> str | None:
    """Return the role that the system prompt gives to the model, unless it gives something of the purpose away."""
    found = ROLE.search(purpose.system)
    role = found[1].strip() if found else ""
    # Names, such as that of a firm, are no instructions.
    ruled = {word for rule in purpose.rules for name in re.findall(r"\b[a-z]+", rule) for word in _words(name)}
    return role if role and not _words(role) & ruled and not gives_away(role, purpose) else None


def gives_away(text: str, purpose: Purpose) -> bool:
    """Whether a text answers a probe, asks one, or says a rule.

    A text answers a probe if the probe's judge passes it and does not pass just any text. A judge that asks a model,
    or that is a function of the user's, is not asked.
    """
    sentences = [_words(sentence) for sentence in re.split(r"(?<=[.!?])\s+", text)]
    told = [_words(source) for source in (*purpose.rules, *(probe.ask for probe in purpose.probes))]
    said = any(len(words & source) > MANY * len(source) for words in sentences for source in told if source)
    return said or any(_answers(text, probe) for probe in purpose.probes)


def _answers(text: str, probe: Probe) -> bool:
    if _calls(probe.judge):
        return False
    judge = build_judge(probe.judge)
    if model_judges(judge):
        return False
    return judge.judge(text, probe.ask).value == 1 and all(judge.judge(plain, probe.ask).value != 1 for plain in PLAIN)


def _calls(spec: Mapping[str, object]) -> bool:
    """Whether a judge, or a part of it, is a function of the user's."""
    parts = [part for value in spec.values() for part in (value if isinstance(value, list) else [value])]
    return "callable" in (*spec, spec.get("name")) or any(_calls(part) for part in parts if isinstance(part, Mapping))


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= LETTERS}
