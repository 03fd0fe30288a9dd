"""A harder system prompt: the first defence to try, and the one that costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telic.agents.defence import Defence
from telic.models import Control
from telic.purpose import Purpose
from telic.redteam.defences.hardening import HARDENING
from telic.steering.prompt import Prompt

__all__ = ["HardenedPrompt"]


@dataclass(frozen=True)
class HardenedPrompt(Defence):
    """Says in the system prompt that nothing in the conversation changes the instructions."""

    text: str = HARDENING
    """What is added after the system prompt."""

    name: ClassVar[str] = "hardened_prompt"

    def controls(self, purpose: Purpose) -> tuple[Control, ...]:
        """Return the control that adds the text."""
        return (Prompt(self.text),)
