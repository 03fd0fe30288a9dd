"""The output guard: judges every draft by the purpose's own limits, the authority that decides on attacks too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from telic.agents.defence import PASS, Decision, Defence, DefendedTurn
from telic.errors import ConfigError
from telic.judges.limits import JudgedLimit
from telic.models import Control, Model, Reply
from telic.models.requesting import RequestGenerator, run_together
from telic.purpose import Purpose
from telic.redteam.defences.hardening import hardening_control
from telic.registry import suggest

__all__ = ["OutputGuard"]

AGAIN = "In your next reply, you must not do any of this: {limits}. Stay polite, and offer what you can do instead."
"""What is added to the system prompt of another draft."""


@dataclass(frozen=True)
class OutputGuard(Defence):
    """Lets no reply pass that breaks a limit: it is written again under a control, and else refused.

    A draft that a judge cannot decide on passes unless `strict`; the record says so. No draft is shown before it has
    been judged, so replies do not stream.
    """

    limits: Sequence[str] = ()
    """Names of the limits to guard; by default all."""
    regenerate: int = 1
    """How often a draft is written again before the reply is refused: 0 to 3."""
    control: Mapping[str, Any] | None = None
    """The control of a draft that is written again, as in `[[controls]]`; by default the broken limits are added to
    the system prompt."""
    strict: bool = False
    """Whether a draft that a judge cannot decide on, or fails on, counts as one that breaks the limit."""

    name: ClassVar[str] = "output_guard"
    judges_drafts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if type(self.regenerate) is not int or not 0 <= self.regenerate <= 3:
            raise ConfigError(f"defence 'output_guard': regenerate is {self.regenerate!r}; expected 0 to 3")
        if isinstance(self.limits, str) or not all(isinstance(one, str) for one in self.limits):
            raise ConfigError(f"defence 'output_guard': limits is {self.limits!r}; expected a list of names")
        hardening_control(self.control)

    def check(self, purpose: Purpose, model: Model) -> None:
        """Refuse a purpose without limits, or without one of those to guard."""
        known = [limit.name for limit in purpose.limits]
        if not known:
            raise ConfigError("defence 'output_guard' judges replies by [[limits]], but the purpose has none")
        for name in self.limits:
            if name not in known:
                raise ConfigError(f"defence 'output_guard': the purpose has no limit {name!r}{suggest(name, known)}")

    def check_draft(self, turn: DefendedTurn, draft: Reply) -> RequestGenerator[Decision]:
        """Judge a draft by the limits."""
        guarded = [limit for limit in turn.limits if not self.limits or limit.name in self.limits]
        verdicts = yield from run_together(limit.judging(draft.text, turn.said) for limit in guarded)
        bad = ("broken", "undetermined", "error") if self.strict else ("broken",)
        broken = [limit for limit, verdict in zip(guarded, verdicts, strict=True) if verdict.kind in bad]
        undecided = {
            limit.name: verdict.reason
            for limit, verdict in zip(guarded, verdicts, strict=True)
            if verdict.kind in ("undetermined", "error")
        }
        if not broken:
            return Decision(readings={"undecided": undecided}) if undecided else PASS
        names = ", ".join(limit.name for limit in broken)
        readings = {"broken": [limit.name for limit in broken], **({"undecided": undecided} if undecided else {})}
        if turn.drafts >= self.regenerate:
            return Decision("refuse", f"the draft breaks a limit: {names}", readings=readings)
        return Decision("regenerate", f"the draft breaks a limit: {names}", (self._control(broken),), readings)

    def _control(self, broken: Sequence[JudgedLimit]) -> Control:
        told = "; ".join(limit.limit.rule or limit.name for limit in broken)
        return hardening_control(self.control, AGAIN.format(limits=told))
