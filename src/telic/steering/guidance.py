"""Classifier-free guidance against the system prompt (arXiv 2306.17806), a baseline of arXiv 2402.10962."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint

if TYPE_CHECKING:
    import torch

__all__ = ["Guidance", "without_system"]


@dataclass(frozen=True)
class Guidance(Control):
    """Moves the logits away from what the model would say without its system prompt.

    `l_without + gamma * (l_with - l_without)`. The contrast prompt is the same dialogue without the system prompt; it
    takes a sequence of the batch, with a cache of its own.
    """

    gamma: float = 1.5
    """1 is the model without the control (and needs no contrast prompt); more strengthens the system prompt, less
    weakens it."""
    against: str = ""
    """System prompt of the contrast prompt; empty for none (the chat template may then insert a default one)."""

    name: ClassVar[str] = "guidance"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not math.isfinite(self.gamma):
            raise ConfigError(f"control 'guidance': gamma is {self.gamma!r}; expected a number, such as 1.5")

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The dialogue without its system prompt, or with `against` instead."""
        if self.gamma == 1 or not messages or messages[0].role != "system":
            return ()
        return (without_system(messages, self.against),)

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Extrapolate from the logits under the contrast prompt through those under the prompt."""
        return contrast_K_R_V[0] + self.gamma * (logits_R_V - contrast_K_R_V[0])


def without_system(messages: tuple[Message, ...], against: str) -> tuple[Message, ...]:
    """Replace the system prompt by `against`, or remove it if that is empty."""
    return (*((Message(role="system", content=against),) if against else ()), *messages[1:])
