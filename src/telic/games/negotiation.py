"""Negotiation: two sides with private values bargain (after NegotiationArena, arXiv 2402.05863).

The sides act in turn. An offer has a form and may carry a message. Reasoning is private (`think`) and does not end the
turn. The other acts:

- `accept` ends the negotiation with the pending offer as the deal.
- `reject` declines the pending offer, and the negotiation continues. In the ultimatum, and with `one_shot`, it ends
  the negotiation without a deal.
- `leave` ends the negotiation without a deal.
- A new offer replaces the pending one of either side; a message leaves the offer pending.
- After `rounds` turns of each side the negotiation ends without a deal.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from telic.games.base import Act, Event, Game, IllegalActError, Outcome, References
from telic.games.negotiation_deals import Bargain, Deal, Variant, draw_bargain

__all__ = ["Negotiation", "Variant"]

Side = Literal["both", "first", "second"]


@dataclass
class Negotiation(Game):
    """A negotiation over a price, an exchange of goods, or the division of a pot; see the module.

    The score is the agent's gain. The normalised score is the gain divided by the highest gain without a loss to the
    other side; in a sale and in the ultimatum, this is the agent's share of the surplus. It is 0 if the sides miss a
    possible deal (a valid episode), and missing if no deal was possible. `details` adds the joint efficiency: the sum
    of both gains divided by the highest possible sum.
    """

    name: ClassVar[str] = "negotiation"
    roles: ClassVar[tuple[str, ...]] = ("agent", "partner")
    kinds: ClassVar[tuple[str, ...]] = ("message", "think", "offer", "accept", "reject", "leave")
    wordless: ClassVar[frozenset[str]] = frozenset({"accept", "reject", "leave"})

    variant: Variant = "buyer-seller"
    """The kind of bargain."""
    one_shot: bool = False
    """Whether there is a single take-it-or-leave-it offer without talk: the control condition of bargaining."""
    rounds: int = 6
    """Turns of each side; a private thought is no turn."""
    thoughts: int = 1
    """Maximum number of private thoughts in one turn."""
    side: Side = "both"
    """The side of the agent: `first` (seller or proposer), `second`, or `both`. With `both` the agent is first at even
    seeds, and the odd seed after each has the same values with the sides swapped."""
    zone: float = 0.9
    """Probability that a deal exists from which both gain; in the ultimatum one always exists."""
    low: int = 0
    """Lowest price, or lowest part of the pot."""
    high: int = 100
    """Highest price, or the pot."""
    grid: int = 5
    """Step between prices; private values are on the same grid."""
    pass_mark: float = 0.4
    """Normalised score from which a negotiation is a success."""

    def __post_init__(self) -> None:
        for setting, allowed in (("variant", Variant), ("side", Side)):
            if getattr(self, setting) not in get_args(allowed):
                self._refuse(setting, f"one of {', '.join(get_args(allowed))}")
        for setting, least in (("rounds", 1), ("thoughts", 0), ("low", 0), ("grid", 1)):
            value = getattr(self, setting)
            if type(value) is not int or value < least:
                self._refuse(setting, f"a whole number, {least} or more")
        for setting in ("zone", "pass_mark"):
            if not 0 <= getattr(self, setting) <= 1:
                self._refuse(setting, "a number from 0 to 1")
        if type(self.high) is not int or not 2 <= (self.high - self.low) / self.grid <= 1000:
            self._refuse("high", f"a whole number, 2 to 1000 steps of {self.grid} above {self.low}")
        if self.one_shot:
            self.rounds = 1
        # Never reached: the rounds end the negotiation first, as thoughts are limited.
        self.max_turns = 2 * self.rounds * (1 + self.thoughts)

    @property
    def bargain(self) -> Bargain:
        """The bargain of this episode, with all private values."""
        return self._bargain

    def place(self, role: str) -> int:
        """Return 0 for the role that begins, 1 for the other."""
        return self._place[role]

    def pending(self, role: str) -> Deal | None:
        """Return the offer that a role can accept."""
        return self._pending[1] if self._pending and self._pending[0] != role else None

    def moves(self, role: str) -> int:
        """Return the number of turns that a role has used."""
        return (self._moves + 1 - self._place[role]) // 2

    def references(self) -> References:
        """Return the random and the perfect player; both play against the script `concession`."""
        return References(lower="random", upper="oracle", partner="concession")

    def asks_for_kind(self, role: str) -> bool:  # noqa: ARG002 (the same for both roles)
        """Return whether messages are possible: the instructions then list `[message]`."""
        return not self.one_shot

    def instructions(self, role: str) -> str:
        """Return the bargain with the role's own values, and the acts."""
        place, bargain = self._place[role], self._bargain
        lines = [
            f"You negotiate as the {bargain.parties[place]} with the {bargain.parties[1 - place]}.",
            bargain.brief(place),
            bargain.goal,
            "What you know of your own values, the other does not know." if bargain.private(place) else "",
            "Write one act in each turn, in one of these forms:",
        ]
        if not self.one_shot:
            lines.append("[message] what you say")
        if bargain.deals(place) and not (self.one_shot and place):
            lines.append(f"[offer] {bargain.form} | what you say with it")
        ends = " (both get nothing)" if self._final else ""
        if bargain.deals(1 - place) and not (self.one_shot and not place):
            lines += ["[accept] to take the other's offer", f"[reject] to decline it{ends}"]
        if self.thoughts:
            lines.append("[think] what only you will see")
        if not (self.one_shot and place):
            lines.append("[leave] to end without a deal")
        if self.one_shot:
            lines.append("There is one offer. It is accepted or rejected, and that is all.")
        else:
            lines.append(f"Each of you has {self.rounds} turns. Without a deal by then, nobody gains anything.")
        return "\n".join(filter(None, lines))

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the party of the role, and its private values."""
        place = self._place[role]
        return {"party": self._bargain.parties[place], **self._bargain.private(place)}

    def parse(self, role: str, utterance: str) -> Act:
        """Parse `[kind] content`. Words before the `[kind]` of a public act are its message.

        Raises:
            IllegalActError: the utterance is empty, has two kinds, or has private reasoning in a public act.
        """
        marks = [mark for mark in _MARK.finditer(utterance) if mark["kind"].lower() in self.kinds]
        if not marks:
            return super().parse(role, utterance)
        before, kind = utterance[: marks[0].start()].strip(), marks[0]["kind"].lower()
        content = utterance[marks[0].end() :].strip()
        if kind == "think" and not before:
            return Act("think", content)  # all of the text, so that nothing private becomes public
        if any(mark["kind"].lower() == "think" for mark in marks):
            raise IllegalActError("private reasoning is an act of its own: begin with [think], and write nothing else")
        if len(marks) > 1:
            raise IllegalActError("one act at a time; write one mark in square brackets")
        if kind == "offer" and before:
            return Act(kind, f"{content} | {before}")
        return Act(kind, f"{before} {content}".strip())

    def options(self, role: str, kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the choices for the next part of an offer: a price, or the goods given and then the goods received."""
        return self._bargain.options(self._place[role], chosen) if kind == "offer" else ()

    def fill(self, role: str, kind: str, chosen: Sequence[str]) -> str:
        """Return an offer from its chosen parts."""
        return self._bargain.fill(self._place[role], chosen) if kind == "offer" else super().fill(role, kind, chosen)

    @property
    def _final(self) -> bool:
        """Whether a rejection ends the negotiation."""
        return self.one_shot or self.variant == "ultimatum"

    def _reset(self, seed: int) -> None:
        second = self.side == "second" or (self.side == "both" and seed % 2 == 1)
        self._place = {"agent": int(second), "partner": int(not second)}
        self.turn = "partner" if second else "agent"
        rng = random.Random(f"negotiation {seed // 2 if self.side == 'both' else seed}")
        grid = range(self.low, self.high + 1, self.grid)
        self._bargain: Bargain = draw_bargain(self.variant, rng, self.zone, grid)
        self._pending: tuple[str, Deal] | None = None
        self._deal: Deal | None = None
        self._moves = self._thoughts = self._offers = 0

    def _legal(self, role: str) -> tuple[str, ...]:
        can_offer = bool(self._bargain.deals(self._place[role])) and self._moves + 1 < 2 * self.rounds
        answers = ("accept", "reject") if self.pending(role) is not None else ()
        if answers and self._final:
            kinds = answers
        elif self.one_shot:
            kinds = ("offer", "leave")
        else:
            kinds = ("message", *(("offer",) if can_offer else ()), *answers, "leave")
        return (*kinds, "think") if self._thoughts < self.thoughts else kinds

    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        if act.kind in ("message", "think") and not act.content:
            raise IllegalActError(f"an empty [{act.kind}]; write something after it")
        if act.kind == "think":
            self._thoughts += 1
            self.turn = role
            self._tell(Event(role, str(act), act), role)
            return None
        reward = None
        if act.kind == "offer":
            self._offer(role, act)
        else:
            self._tell(Event(role, act.content if act.kind == "message" else str(act), act))
        self._moves += 1
        self._thoughts = 0
        if act.kind == "accept":
            reward = self._agree()
        elif act.kind == "reject" and self._final:
            self.end(f"no deal: {role} rejected the offer")
        elif act.kind == "leave":
            self.end(f"no deal: {role} left")
        elif self._moves >= 2 * self.rounds:
            self.end("no deal: the rounds are used up")
        elif act.kind == "reject":
            self._pending = None
        return reward

    def _offer(self, role: str, act: Act) -> None:
        place, other = self._place[role], self._next(role)
        written, _, message = act.content.partition("|")
        deal = self._bargain.read(place, written)
        form = self._bargain.write(place, deal)
        # The other side also sees the words around the form.
        said = " ".join(["" if self._bargain.form_only(written) else written, *message.split()]).strip()
        shown = Act("offer", f"{form} | {said}" if said else form)
        self._pending = (role, deal)
        self._offers += 1
        self._tell(Event(role, str(shown), shown), role)
        gloss = self._bargain.gloss(self._place[other], deal)
        self._tell(
            Event(role, " ".join(filter(None, [f"[offer] {form}", gloss, f"| {said}" if said else ""])), shown), other
        )

    def _agree(self) -> Mapping[str, float]:
        assert self._pending is not None
        self._deal = self._pending[1]
        self.end("deal")
        return self._payoffs()

    def _payoffs(self) -> dict[str, float]:
        worth = self._bargain.worth(self._deal) if self._deal is not None else (0, 0)
        return {role: float(worth[self._place[role]]) for role in self.roles}

    def _outcome(self) -> Outcome:
        bargain, payoffs, place = self._bargain, self._payoffs(), self._place["agent"]
        gain = payoffs["agent"]
        normalised = efficiency = None
        success = gain >= 0
        reason = self.ended if self.over else "not over"
        if bargain.possible:
            normalised = min(1.0, max(0.0, gain / bargain.best[place]))
            efficiency = sum(payoffs.values()) / bargain.joint
            success = normalised >= self.pass_mark
        else:
            reason += "; no normalised score: no deal could have served both"
        details = {
            "variant": self.variant,
            "parties": {role: bargain.parties[self._place[role]] for role in self.roles},
            "deal": bargain.write(place, self._deal) if self._deal is not None else None,
            "possible": bargain.possible,
            "best": float(bargain.best[place]),
            "surplus": float(bargain.joint),
            "share": gain / bargain.joint if bargain.possible else None,
            "efficiency": efficiency,
            "offers": self._offers,
            "moves": self._moves,
        }
        return Outcome(True, gain, normalised, success, reason=reason, per_role=payoffs, details=details)


_MARK = re.compile(r"\[(?P<kind>[A-Za-z]+)\]")
