"""Elicitation: the agent must ask for what it does not know. The default game.

A customer with hidden wishes answers only what the agent asks (`telic.games.elicitation_user`). A slot is elicited when
the agent's utterance asks for it and the customer answers. The reward of a round is the number of newly elicited slots
divided by the number of slots. Task ambiguity is the reason to ask: Tamkin et al., arXiv 2212.10711.

With `proposal`, the agent then proposes a value for every slot; the reward counts the wishes that the proposal meets.
The other modes follow "LLMs Get Lost In Multi-Turn Conversation" (Laban et al., arXiv 2505.06120): the customer tells
all wishes at once (`full`), at once as a list (`concat`), or one in each turn (`sharded`). In these modes there is
nothing to elicit, and only the proposal is rewarded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from telic.games.base import Act, Event, Game, IllegalActError, Outcome, References, Split
from telic.games.elicitation_domain import Domain, load_domain
from telic.games.elicitation_mood import Mood, load_voice
from telic.games.elicitation_user import Customer
from telic.judges.rules import normalise

__all__ = ["DIRECTION", "Elicitation", "Mode"]

Mode = Literal["dialogue", "full", "concat", "sharded"]

DIRECTION = "Say this in your own words, and nothing else: "
"""Instruction to a player of the customer: the rules decide the content, the player words it."""


@dataclass
class Elicitation(Game):
    """The elicitation game; see the module."""

    name: ClassVar[str] = "elicitation"
    roles: ClassVar[tuple[str, ...]] = ("agent", "customer")
    kinds: ClassVar[tuple[str, ...]] = ("message", "propose")
    has_held_out: ClassVar[bool] = True

    domain: str = "travel"
    """A domain that ships with Telic (travel, support, intake), or the path of a `.toml` file."""
    rounds: int = 4
    """Utterances of the agent before the proposal, or before the dialogue ends. 0 requires a proposal."""
    slots: int | None = None
    """Number of the domain's slots that a customer has a wish for; None for all."""
    patience: int = 2
    """Questions that the customer answers at once. It refuses a list of more than twice as many."""
    split: Split = "all"
    """`train` and `test` share no combination of wishes, and no phrasing if there are enough of them."""
    customer: Literal["rules", "player"] = "rules"
    """Who words the customer's replies: `rules`, within the agent's turn, or `player`, a second player."""
    mode: Mode = "dialogue"
    """How the agent learns the wishes."""
    proposal: bool = False
    """Whether the agent proposes at the end. All modes but `dialogue` have a proposal."""
    proposal_weight: float = 0.5
    """Share of the proposal in the score of mode `dialogue`."""
    voice: str | None = None
    """For mode `dialogue`: customers show how they feel, in the words of this voice (everyday or texting), and may
    leave. By default they only answer."""
    trolls: float = 0.0
    """With a voice: share of customers who praise what is bad and blame what is good."""

    _domain: Domain = field(init=False, repr=False)
    _user: Customer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for setting, allowed in (("split", Split), ("mode", Mode)):
            if getattr(self, setting) not in get_args(allowed):
                self._refuse(setting, f"one of {', '.join(get_args(allowed))}")
        if self.customer not in ("rules", "player"):
            self._refuse("customer", "rules or player")
        for setting, least in (("rounds", 0), ("patience", 1), ("slots", 1)):
            value = getattr(self, setting)
            if not (setting == "slots" and value is None) and (type(value) is not int or value < least):
                self._refuse(setting, f"a whole number, {least} or more")
        for setting in ("proposal_weight", "trolls"):
            if not 0 <= getattr(self, setting) <= 1:
                self._refuse(setting, "a number from 0 to 1")
        if self.mode != "dialogue" and self.voice is not None:
            self._refuse("voice", "none in a mode without questions")
        self.proposal = self.proposal or self.mode != "dialogue"
        if self.rounds == 0 and not self.proposal:
            self._refuse("rounds", "1 or more where there is no proposal")
        self._domain = load_domain(self.domain)
        # Never reached: the rounds end the episode first.
        self.max_turns = 2 * (max(self.rounds, len(self._domain.slots)) + 2)

    @property
    def best(self) -> float:
        """The best possible score: full use of every round, and a proposal that meets every wish."""
        n = len(self._user.wishes)
        return self._asking * min(n, self.patience * self.rounds) / n + (1 - self._asking)

    def instructions(self, role: str) -> str:
        """Return the task; for a player of the customer, also the wishes."""
        if role == "agent":
            return self._domain.task
        slots = [(self._domain.by_name[name].label, value) for name, value in self._user.wishes.items()]
        wishes = "\n".join(f"- {label}: {value}" for label, value in slots)
        return f"{self._domain.customer}\nWhat you want:\n{wishes}\nYou are told what to say; word it as you like."

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the customer's wishes."""
        if role == "agent":
            return {}
        return {"wishes": dict(self._user.wishes), "agenda": list(self._user.agenda)}

    def played_by_rules(self, role: str) -> bool:
        """Return whether the rules play the customer."""
        return role == "customer" and self.customer == "rules"

    def references(self) -> References:
        """Return the random and the perfect player."""
        return References(lower="random", upper="oracle")

    def parse(self, role: str, utterance: str) -> Act:
        """Parse an utterance; when a proposal is due, one without a kind is a proposal."""
        act = super().parse(role, utterance)
        if role == "agent" and act.kind == "message" and self._due() == "propose":
            return Act("propose", act.content)
        return act

    def options(self, role: str, kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the values of the next slot of a proposal."""
        slots = self._proposable()
        if role != "agent" or kind != "propose" or len(chosen) >= len(slots):
            return ()
        return self._domain.by_name[slots[len(chosen)]].values

    def fill(self, role: str, kind: str, chosen: Sequence[str]) -> str:
        """Return a proposal as text: `slot: value; slot: value`."""
        if role != "agent" or kind != "propose":
            return super().fill(role, kind, chosen)
        return "; ".join(f"{slot}: {value}" for slot, value in zip(self._proposable(), chosen, strict=False))

    @property
    def _asking(self) -> float:
        """Share of asking in the score."""
        if self.mode != "dialogue":
            return 0.0
        return 1 - self.proposal_weight if self.proposal else 1.0

    def _proposable(self) -> tuple[str, ...]:
        return tuple(slot.name for slot in self._domain.slots if slot.name in self._user.wishes)

    def _reset(self, seed: int) -> None:
        self._user = Customer(self._domain, seed, split=self.split, slots=self.slots, patience=self.patience)
        self._said = self._shown = 0
        self._left = False
        self._mood = None if self.voice is None else Mood(self._user, load_voice(self.voice), self.trolls)
        self._breaches: list[str] = []
        self._repeats = 0
        self._proposed: dict[str, str] | None = None
        told = [self._user.tell(slot) for slot in self._user.agenda]
        opening = [self._user.opener]
        if self.mode == "full":
            opening += told
        elif self.mode == "concat":
            opening = ["\n- ".join([f"{self._user.opener} This is what I want:", *told])]
        elif self.mode == "sharded":
            opening += told[:1]
            self._shown = 1
        self._speak(" ".join(opening))

    def _due(self) -> str | None:
        """Return the kind of the agent's next act; None if there is none."""
        if self._left or self._proposed is not None:
            return None
        more = self._said < self.rounds if self.mode == "dialogue" else 0 < self._shown < len(self._user.agenda)
        return "message" if more else "propose" if self.proposal else None

    def _legal(self, role: str) -> tuple[str, ...]:
        return ("message",) if role == "customer" else (self._due() or "message",)

    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        if not act.content:
            raise IllegalActError("an empty utterance; say something")
        if role == "customer":
            self._tell(Event("customer", act.content, act))
            self._to_agent()
            return None
        if act.kind == "propose":
            return self._take_proposal(act)
        self._tell(Event("agent", act.content, act))
        self._said += 1
        if self.mode == "sharded":
            shard = self._user.tell(self._user.agenda[self._shown])
            self._shown += 1
            self._speak(shard)
            return {"agent": 0.0}
        answer = self._user.answer(act.content)
        self._left = answer.leaves
        self._breaches += [answer.breach] if answer.breach else []
        self._repeats += bool(answer.asked) and not answer.elicited
        text = answer.text
        if self._mood is not None:
            reaction = self._mood.react(answer, closing=self._said >= self.rounds)
            text, self._left = reaction.text, self._left or reaction.leaves
        self._speak(text)
        return {"agent": self._asking * len(answer.elicited) / len(self._user.wishes)}

    def _speak(self, text: str) -> None:
        """Show the customer's reply, or direct the customer's player to say it; without a text it says nothing."""
        if not text:
            self._to_agent()
        elif self.customer == "player":
            self._tell(Event("game", DIRECTION + text), "customer")
            self.turn = "customer"
        else:
            self._tell(Event("customer", text, Act("message", text)))
            self._to_agent()

    def _to_agent(self) -> None:
        due = self._due()
        if due is None:
            self.end("the customer left" if self._left else "all rounds were played")
            return
        self.turn = "agent"
        if due == "propose":
            form = "; ".join(f"{slot}: ..." for slot in self._proposable())
            values = [f"{slot}: {', '.join(self._domain.by_name[slot].values)}" for slot in self._proposable()]
            text = "\n".join([f"Now propose what suits the customer: [propose] {form}", "Possible values:", *values])
            self._tell(Event("game", text), "agent")

    def _take_proposal(self, act: Act) -> Mapping[str, float]:
        proposed = self._read_proposal(act.content)
        self._proposed = proposed
        self._tell(Event("agent", act.content, act))
        self.end("the agent proposed")
        return {"agent": (1 - self._asking) * len(self._honoured()) / len(self._user.wishes)}

    def _read_proposal(self, content: str) -> dict[str, str]:
        slots = self._proposable()
        names = {_plain(name): name for name in slots}
        proposed: dict[str, str] = {}
        for part in filter(str.strip, re.split(r"[;\n]", content)):
            key, colon, value = part.partition(":")
            slot = names.get(_plain(key))
            if not colon or slot is None:
                raise IllegalActError(f"{part.strip()[:60]!r} is not `slot: value`; the slots are {', '.join(slots)}")
            values = {_plain(option): option for option in self._domain.by_name[slot].values}
            if _plain(value) not in values:
                raise IllegalActError(f"{slot}: {value.strip()[:60]!r} is none of {', '.join(values.values())}")
            if proposed.setdefault(slot, values[_plain(value)]) != values[_plain(value)]:
                raise IllegalActError(f"two values for {slot}")
        if not proposed:
            raise IllegalActError(f"an empty proposal; write `slot: value; ...` for {', '.join(slots)}")
        return proposed

    def _honoured(self) -> list[str]:
        return [slot for slot, value in (self._proposed or {}).items() if self._user.wishes[slot] == value]

    def _outcome(self) -> Outcome:
        n = len(self._user.wishes)
        told, honoured = len(self._user.told), len(self._honoured())
        score = (self._asking * told + (1 - self._asking) * honoured) / n
        return Outcome(
            True,
            score,
            min(1.0, score / self.best),
            score >= self.best - 1e-9,
            reason=self.ended,
            per_role={"agent": score},
            details={
                "best": self.best,
                "slots": n,
                "elicited": list(self._user.told),
                "in_vain": self._repeats,
                "breaches": list(self._breaches),
                "proposal": self._proposed,
                "honoured": honoured if self.proposal else None,
                **self._felt(),
            },
        )

    def _felt(self) -> dict[str, Any]:
        """Return the hidden satisfaction and what it led to, if customers have a voice."""
        mood = self._mood
        if mood is None:
            return {}
        changes = list(mood.changes)
        return {
            "satisfaction": mood.satisfaction, "changes": changes, "bought": mood.bought, "troll": mood.troll,
            "left": self._left,
        }  # fmt: skip


def _plain(text: str) -> str:
    return normalise(text.replace("_", " ")).strip("\"'*`., ")
