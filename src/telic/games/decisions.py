"""The base class of the decision-oriented games: talk, propose, accept or reject.

Lin et al., *Decision-Oriented Dialogue for Human-AI Collaboration* (arXiv 2305.20076). No role knows enough to decide
alone; the score of a decision uses the information of all roles, between the worst and the best decision. While a
proposal is pending, the role that must answer can only accept or reject. A game that reaches its cap of turns without
an agreement is valid and has the score of the worst decision (normalised 0); its reason says so.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from telic.games.base import Act, Event, Game, IllegalActError, Outcome

__all__ = ["Decision", "DecisionGame", "mentions"]

Decision = tuple[int, ...]
"""A proposal as indices: the reviewer of each paper, three sites, or a flight of each user."""

ANSWERS = ("accept", "reject")


@dataclass
class DecisionGame(Game):
    """The base class of the three games: legal acts around a proposal, and the score of an episode."""

    kinds: ClassVar[tuple[str, ...]] = ("message", "propose", *ANSWERS)
    wordless: ClassVar[frozenset[str]] = frozenset(ANSWERS)

    max_turns: int = 40
    """Hard cap of accepted acts."""
    pass_mark: float = 0.9
    """Normalised score from which an agreed decision is a success (people reach a mean of 0.89 to 0.97)."""

    def __post_init__(self) -> None:
        if self.max_turns < 1:
            self._refuse("max_turns", "1 or more")
        if not 0 <= self.pass_mark <= 1:
            self._refuse("pass_mark", "a number from 0 to 1")

    @abstractmethod
    def optimum(self) -> Decision:
        """Return a best decision, which no role knows."""

    @abstractmethod
    def value(self, decision: Decision) -> int:
        """Return the score of a decision on the information of all roles."""

    @abstractmethod
    def parts(self, decision: Decision) -> tuple[str, ...]:
        """Return a decision as the parts that `options` offers."""

    @abstractmethod
    def _draw(self, seed: int) -> None:
        """Draw the world, and set `best` and `worst`, the scores of the best and the worst decision."""

    @abstractmethod
    def _instruct(self, role: str) -> str:
        """Return the text that a role gets at the start; called once per episode."""

    @abstractmethod
    def _choices(self, chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the choices for the next part of a proposal."""

    @abstractmethod
    def _write(self, parts: Sequence[str]) -> str:
        """Return a proposal of these parts as text that `_read` can read."""

    @abstractmethod
    def _read(self, content: str) -> Decision:
        """Read a proposal.

        Raises:
            IllegalActError: it is no full proposal.
        """

    @abstractmethod
    def _answer_next(self, role: str) -> tuple[str, ...]:
        """Return the roles that must answer a proposal of this role, in order."""

    @abstractmethod
    def _talkers(self) -> Mapping[str, tuple[str, ...]]:
        """Return the kinds of act open to each role while no proposal is pending."""

    def asks_for_kind(self, role: str) -> bool:  # noqa: ARG002 (the same for all roles)
        """Return True: all instructions ask for `[kind]`."""
        return True

    def instructions(self, role: str) -> str:
        """Return the text that a role gets at the start."""
        if role not in self._instructed:
            self._instructed[role] = self._instruct(role)
        return self._instructed[role]

    def options(self, role: str, kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the choices for the next part of a proposal."""
        proposes = kind == "propose" and kind in self._talkers()[role]
        return self._choices(chosen) if proposes else ()

    def fill(self, role: str, kind: str, chosen: Sequence[str]) -> str:
        """Return the content of an act from its chosen parts."""
        return self._write(chosen) if kind == "propose" else super().fill(role, kind, chosen)

    def _reset(self, seed: int) -> None:
        self.best, self.worst = 0, 0
        self._instructed: dict[str, str] = {}
        self._pending: Decision | None = None
        self._agreed: Decision | None = None
        self._unanswered: tuple[str, ...] = ()
        self._proposals = 0
        self._draw(seed % 2**64)

    def _legal(self, role: str) -> tuple[str, ...]:
        return ANSWERS if self._pending is not None else self._talkers()[role]

    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        if act.kind == "propose":
            decision = self._read(act.content)
            self._pending, self._unanswered = decision, self._answer_next(role)
            self._proposals += 1
            self._show(role, decision)
            self.turn = self._unanswered[0]
        elif act.kind == "accept":
            self._tell_answer(role, act)
            self._unanswered = self._unanswered[1:]
            if not self._unanswered:
                return self._agree()
            self.turn = self._unanswered[0]
        elif act.kind == "reject":
            self._tell_answer(role, act)
            self._pending, self._unanswered = None, ()
            self.turn = self._after_rejection(role)
        elif not act.content:
            raise IllegalActError(f"an empty [{act.kind}]; write something after it")
        else:
            self._say(role, act)
        return None

    def _agree(self) -> Mapping[str, float]:
        self._agreed, self._pending = self._pending, None
        assert self._agreed is not None
        self.end("agreement")
        return dict.fromkeys(self.roles, self._normalised(self.value(self._agreed)))

    def _show(self, role: str, decision: Decision) -> None:
        """Show a proposal to the roles; by default the same text to all."""
        act = Act("propose", self._write(self.parts(decision)))
        self._tell(Event(role, str(act), act))

    def _tell_answer(self, role: str, act: Act) -> None:
        self._tell(Event(role, str(act), act))

    def _after_rejection(self, role: str) -> str:
        """Return whose turn it is: the role that rejected says why."""
        return role

    def _say(self, role: str, act: Act) -> None:
        """Carry out a message; `turn` is already the next role."""
        self._tell(Event(role, act.content, act))

    def _normalised(self, score: float) -> float:
        return (score - self.worst) / (self.best - self.worst)

    def _outcome(self) -> Outcome:
        details: dict[str, Any] = {"best": self.best, "worst": self.worst, "proposals": self._proposals}
        if self._agreed is None:
            if not self.over:
                return Outcome(True, reason="not over", details=details)
            reason = f"no agreement: {self.ended}"
            return Outcome(True, float(self.worst), 0.0, False, reason=reason, details=details)
        score = self.value(self._agreed)
        normalised = self._normalised(score)
        details["proposal"] = list(self.parts(self._agreed))
        return Outcome(
            True,
            float(score),
            normalised,
            normalised >= self.pass_mark,
            reason=self.ended,
            per_role=self._payoffs(self._agreed),
            details=details,
        )

    def _payoffs(self, decision: Decision) -> Mapping[str, float]:  # noqa: ARG002 (for games with a payoff per role)
        return {}


def mentions(text: str, names: Sequence[str]) -> list[tuple[int, int, int]]:
    """Find names in a text, ignoring case and spacing.

    A name must be a whole word. Of two names that begin at the same position, the longer one counts.

    Returns:
        (index of the name, start, end) of each mention, in the order of the text.
    """
    # Games shuffle their names per episode. Sorting them first lets the cached pattern be reused.
    order = sorted(range(len(names)), key=lambda index: (-len(names[index]), names[index]))
    pattern = _pattern(tuple(names[index] for index in order))
    return [(order[(found.lastindex or 1) - 1], *found.span()) for found in pattern.finditer(text)]


@lru_cache(maxsize=32)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    one_of = "|".join("(" + r"[\s_]+".join(map(re.escape, name.split())) + ")" for name in names)
    return re.compile(rf"(?<!\w)(?:{one_of})(?!\w)", re.IGNORECASE)
