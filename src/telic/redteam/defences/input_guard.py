"""The input guard: decides on the user's message by the whole dialogue, by rules or by a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

from telic.agents.defence import PASS, Decision, Defence, DefendedTurn
from telic.errors import ConfigError
from telic.models import Control, Model, load
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.redteam.defences.attack_moves import MoveEvidence, limit_words, weigh
from telic.redteam.defences.hardening import check_choice, hardening_control
from telic.redteam.monitor.turn_judge import grade_turn

__all__ = ["InputGuard"]


@dataclass(frozen=True)
class InputGuard(Defence):
    """Decides on each message of the user, before the model reads it.

    By rules, it finds known moves of attackers (setting rules aside, claims of authority, stories, pressure, the words
    of the limits) in the whole dialogue, and acts once they add up. With `model`, a model grades the dialogue instead.
    A model that cannot decide, or fails, lets the message pass; the record says so.
    """

    action: Literal["refuse", "harden", "end"] = "refuse"
    """What to do with the message: refuse it; reply, but under a control from now on; or end the conversation."""
    threshold: float | None = None
    """By rules: points of the dialogue from which it acts, by default 3. With a model: grade in [0, 1] above which it
    acts, by default 0.5."""
    patterns: Sequence[str] = ()
    """Further regular expressions that count as a move of 3 points. Messages are in lower case."""
    model: str = ""
    """Name of a model that grades the dialogue instead of the rules; the purpose's own is not loaded twice."""
    control: Mapping[str, Any] | None = None
    """The control of `harden`, as in `[[controls]]`; by default the text of `hardened_prompt`."""

    name: ClassVar[str] = "input_guard"

    _loaded: list[Model] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_choice(self, "action", ("refuse", "harden", "end"))
        if self.threshold is not None and not 0 < self.threshold < (1 if self.model else 100):
            raise ConfigError(
                f"defence 'input_guard': threshold is {self.threshold!r}; expected a number above 0"
                + (" and below 1" if self.model else "")
            )
        _ = self._further, self._control  # so that mistakes are reported now

    def hardening(self) -> tuple[Control, ...]:
        """Return the control of all later replies, if that is its action."""
        return (self._control,) if self.action == "harden" else ()

    def models(self) -> list[Model]:
        """Return the model that grades, if there is one."""
        if self.model and not self._loaded:
            self._loaded.append(load(self.model))
        return self._loaded

    def check(self, purpose: Purpose, model: Model) -> None:
        """Refuse a purpose without limits for a model that grades by them; share a loaded model of the same name."""
        if self.model and not purpose.limits:
            raise ConfigError("defence 'input_guard': its model grades by [[limits]], but the purpose has none")
        if self.model and self.model == model.name and not self._loaded:
            self._loaded.append(model)

    def check_input(self, turn: DefendedTurn) -> RequestGenerator[Decision]:
        """Decide on the user's message by the whole dialogue."""
        if self.model:
            return (yield from self._graded(turn))
        evidence = weigh(turn.said, limit_words(turn.purpose.limits), self._further)
        if not evidence.moves or evidence.points < (3.0 if self.threshold is None else self.threshold):
            return PASS
        return self._act(_reason(evidence), {"points": evidence.points})

    def _graded(self, turn: DefendedTurn) -> RequestGenerator[Decision]:
        score = yield from grade_turn(self.models()[0], turn.purpose.limits, turn.messages)
        if score.value is None:
            return Decision(reason=score.reason, readings={"undecided": score.reason})
        if score.value <= (0.5 if self.threshold is None else self.threshold):
            return Decision(readings={"grade": score.value})
        return self._act("the model takes it for an attempt to break a limit", {"grade": score.value})

    def _act(self, reason: str, readings: Mapping[str, Any]) -> Decision:
        return Decision(self.action, reason, self.hardening(), readings)

    @cached_property
    def _control(self) -> Control:
        return hardening_control(self.control)

    @cached_property
    def _further(self) -> tuple[re.Pattern[str], ...]:
        if isinstance(self.patterns, str) or not all(isinstance(one, str) for one in self.patterns):
            raise ConfigError(f"defence 'input_guard': patterns is {self.patterns!r}; expected a list of texts")
        try:
            return tuple(re.compile(one) for one in self.patterns)
        except re.error as error:
            raise ConfigError(
                f"defence 'input_guard': {cast('str', error.pattern)!r} in patterns is not a regular expression: "
                f"{error}"
            ) from None


def _reason(evidence: MoveEvidence) -> str:
    return f"{', '.join(evidence.moves)} ({evidence.points:g} points)"
