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

    `l_without + gamma * (l_with - l_without)`. A second stream reads the same dialogue without the system prompt and
    gets the same reply; it has a row of the batch and a cache of its own.
    """

    gamma: float = 1.5
    """1 is the model as it is (and needs no second stream); more holds it to the prompt, less loosens it."""
    against: str = ""
    """System prompt of the second stream; empty for none (where the chat template may put in one of its own)."""

    name: ClassVar[str] = "guidance"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not math.isfinite(self.gamma):
            raise ConfigError(f"control 'guidance': gamma is {self.gamma!r}; expected a number, such as 1.5")

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The dialogue without its system prompt, or with another."""
        if self.gamma == 1 or not messages or messages[0].role != "system":
            return ()
        return (without_system(messages, self.against),)

    def contrast(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Extrapolate from the second stream's logits through the first one's."""
        return contrast_K_R_V[0] + self.gamma * (logits_R_V - contrast_K_R_V[0])


def without_system(messages: tuple[Message, ...], against: str) -> tuple[Message, ...]:
    """The dialogue without its system prompt, or with the one `against` it."""
    return (*((Message(role="system", content=against),) if against else ()), *messages[1:])
