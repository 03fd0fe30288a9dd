"""Refresh: the system prompt says in every turn what it would say in the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, Point
from telic.steering.anchor import begun_anew
from telic.steering.guidance import without

if TYPE_CHECKING:
    import torch

__all__ = ["Refresh"]


@dataclass(frozen=True)
class Refresh(Control):
    """Adds to the logits what the system prompt would change at the dialogue's first turn.

    `l_dialogue + strength (l_fresh_with - l_fresh_without)`. Of two more streams, the first knows the system prompt
    and the last user message only, the second that message alone: what sets them apart is the system prompt's doing,
    while it was still heeded. (An expert and an anti-expert, as in DExperts, arXiv 2105.03023; both are the model.)
    What `guidance` multiplies is what is left of it in the whole dialogue, which falls to next to nothing within four
    exchanges; and unlike `anchor`, nothing is taken away from what the dialogue says.

    In the first turn, where the two are one, it is guidance with `gamma = max(1, strength)`.
    """

    strength: float = 1.0
    """0 is the model as it is (and needs no further streams), 1 gives back what the first turn had, more adds to it."""
    keep: int = 0
    """Exchanges before the last user message that the further streams still know."""
    against: str = ""
    """System prompt of the last stream; empty for none (where the chat template may put in one of its own)."""

    name: ClassVar[str] = "refresh"
    points: ClassVar[frozenset[Point]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf or self.keep < 0:
            raise ConfigError(
                f"control 'refresh': strength = {self.strength!r}, keep = {self.keep!r}; expected a strength of 0 or "
                "more, and a number of exchanges of 0 or more"
            )

    def companions(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The end of the dialogue with the system prompt, and without; in the first turn only the latter."""
        if not self.strength or not messages or messages[0].role != "system":
            return ()
        fresh = begun_anew(messages, self.keep)
        if fresh is not None:
            return (fresh, without(fresh, self.against))
        return (without(messages, self.against),) if self.strength > 1 else ()

    def contrast(self, logits_R_V: torch.Tensor, companions_K_R_V: torch.Tensor) -> torch.Tensor:
        """Add what sets the two streams apart."""
        if len(companions_K_R_V) == 1:
            return logits_R_V + (self.strength - 1) * (logits_R_V - companions_K_R_V[0])
        return logits_R_V + self.strength * (companions_K_R_V[0] - companions_K_R_V[1])
