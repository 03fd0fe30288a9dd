"""The output guard: judges every draft by the purpose's own limits, the authority that decides on attacks too."""

from __future__ import annotations

import re
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

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\n+")
_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True)
class OutputGuard(Defence):
    """Lets no reply pass that breaks a limit: it is written again under a control, else trimmed, else refused.

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
    trim: bool = True
    """Whether the last draft loses the sentences that break a limit, if a sentence is left then. Otherwise, or if one
    of the broken limits is judged by a model, the reply is refused."""

    name: ClassVar[str] = "output_guard"
    judges_drafts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if type(self.regenerate) is not int or not 0 <= self.regenerate <= 3:
            raise ConfigError(f"defence 'output_guard': regenerate is {self.regenerate!r}; expected 0 to 3")
        if isinstance(self.limits, str) or not all(isinstance(one, str) for one in self.limits):
            raise ConfigError(f"defence 'output_guard': limits is {self.limits!r}; expected a list of names")
        if type(self.trim) is not bool:
            raise ConfigError(f"defence 'output_guard': trim is {self.trim!r}; expected true or false")
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
        if draft.tool_calls and not draft.text.strip():  # it says nothing yet
            return PASS
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
        reason = f"the draft breaks a limit: {names}"
        if turn.drafts < self.regenerate:
            return Decision("regenerate", reason, (self._control(broken),), readings)
        if self.trim and not any(limit.models for limit in guarded):
            kept = _trimmed(draft.text, turn.said, guarded)
            if kept:
                return Decision("trim", f"{reason}; its sentences are left out", readings=readings, text=kept)
        return Decision("refuse", reason, readings=readings)

    def _control(self, broken: Sequence[JudgedLimit]) -> Control:
        told = "; ".join(limit.limit.rule or limit.name for limit in broken)
        return hardening_control(self.control, AGAIN.format(limits=told))


def _trimmed(text: str, said: Sequence[str], limits: Sequence[JudgedLimit]) -> str:
    """Leave out every sentence that makes the text kept so far break a limit; empty if no word is left.

    The judges see the sentences together, so what is left breaks no limit. A judge that cannot decide lets no sentence
    pass here.
    """
    kept = ""
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        longer = kept + text[start:end]
        start = end
        if all(limit.verdict(longer.strip(), said).kind == "held" for limit in limits):
            kept = longer
    return kept.strip() if _WORD.search(kept) else ""
