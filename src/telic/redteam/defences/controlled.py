"""Controls as defences: they act on every reply, so that the arms of an attack can be compared."""

from __future__ import annotations

from typing import Any, ClassVar

from telic.agents.defence import Defence
from telic.models import Control
from telic.models.control import build_control
from telic.purpose import Purpose

__all__ = ["AttentionHoldDefence", "ControlDefence", "GuidanceDefence", "RefreshDefence", "ReminderDefence"]


class ControlDefence(Defence):
    """Base of the defences that are a control of the same name.

    Args:
        **settings: those of the control.

    Raises:
        ConfigError: the control does not take these settings.
    """

    name: ClassVar[str] = "control"

    def __init__(self, **settings: Any) -> None:
        self.control: Control = build_control({**settings, "name": self.name})

    def spec(self) -> dict[str, Any]:
        """Return its table in a purpose file, which is that of the control."""
        return self.control.spec()

    def controls(self, purpose: Purpose) -> tuple[Control, ...]:
        """Return the control."""
        return (self.control,)


class ReminderDefence(ControlDefence):
    """Repeats the system prompt before the user's messages."""

    name: ClassVar[str] = "reminder"


class GuidanceDefence(ControlDefence):
    """Moves the reply away from what the model would say without its system prompt."""

    name: ClassVar[str] = "guidance"


class RefreshDefence(ControlDefence):
    """Gives the system prompt the effect that it has in the first turn."""

    name: ClassVar[str] = "refresh"


class AttentionHoldDefence(ControlDefence):
    """Keeps the attention to the system prompt at the level of the first reply."""

    name: ClassVar[str] = "attention_hold"
