"""The trajectory monitor as a defence: it watches every turn, and ends or hardens the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from telic.agents.defence import Decision, Defence, DefendedTurn
from telic.errors import ConfigError
from telic.models import Control, Model, Reply
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.redteam.defences.hardening import check_choice, hardening_control
from telic.redteam.monitor.features import text_features
from telic.redteam.monitor.monitor import TrajectoryMonitor, load_monitor

__all__ = ["Monitor"]


@dataclass(frozen=True)
class Monitor(Defence):
    """Watches the dialogue turn by turn with a trained monitor, and acts when it alarms.

    The state of a turn comes with the pass that writes the reply. With `end` and `refuse` no reply is shown before that
    state has been judged, so replies do not stream; with `harden` and `watch` they do.
    """

    path: str
    """Folder of the monitor, as `telic attack --train-monitor` writes it."""
    threshold: float | None = None
    """Probability of an attack from which it alarms; by default the one it was tuned for."""
    action: Literal["watch", "harden", "refuse", "end"] = "end"
    """What an alarm does: it is only recorded; replies from the next one on are under a control; this reply is refused;
    or the conversation ends."""
    control: Mapping[str, Any] | None = None
    """The control of `harden`, as in `[[controls]]`; by default the text of `hardened_prompt`."""

    name: ClassVar[str] = "monitor"

    def __post_init__(self) -> None:
        check_choice(self, "action", ("watch", "harden", "refuse", "end"))
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"defence 'monitor': threshold is {self.threshold!r}; expected a probability")
        hardening_control(self.control)
        object.__setattr__(self, "readings", frozenset({"state"} if self.monitor.features == "state" else ()))
        object.__setattr__(self, "judges_drafts", self.action in ("refuse", "end"))

    @cached_property
    def monitor(self) -> TrajectoryMonitor:
        """The trained monitor."""
        return load_monitor(self.path)

    def hardening(self) -> tuple[Control, ...]:
        """Return the control of all later replies, if that is its action."""
        return (hardening_control(self.control),) if self.action == "harden" else ()

    def check(self, purpose: Purpose, model: Model) -> None:
        """Refuse a model whose states the monitor was not trained on."""
        self.monitor.check(model)

    def check_draft(self, turn: DefendedTurn, draft: Reply) -> RequestGenerator[Decision]:
        """Take in the turn, and decide by the probability of an attack."""
        state = turn.state
        if not turn.drafts and not turn.after_tool:  # else the same turn, whose draft was replaced or called tools
            state["before"] = state.get("evidence", 0.0)
        features_D = text_features(turn.said) if self.monitor.features == "text" else draft.state
        state["evidence"], probability = self.monitor.step(state.get("before", 0.0), features_D)
        readings = {"probability": round(probability, 6)}
        if probability < (self.monitor.threshold if self.threshold is None else self.threshold):
            return Decision(readings=readings)
        reason = f"probability of an attack {probability:.2f}"
        if self.action == "watch" or (self.action == "harden" and state.get("hardened")):
            return Decision(reason=reason, readings={**readings, "alarm": True})
        controls: tuple[Control, ...] = ()
        if self.action == "harden":
            state["hardened"], controls = True, self.hardening()
        return Decision("harden" if self.action == "harden" else self.action, reason, controls, readings)
        yield  # makes this a generator, which makes no requests
