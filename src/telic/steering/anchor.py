"""Anchor: keeps the next token near what the model would say at the dialogue's first turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint

if TYPE_CHECKING:
    import torch

__all__ = ["Anchor", "fresh_prompt"]


@dataclass(frozen=True)
class Anchor(Control):
    """Moves the logits towards what the model would say at the dialogue's first turn.

    `(1 - weight) l_dialogue + weight l_fresh`: the geometric mean of two distributions (a product of experts, Hinton
    2002). The second is the model under a contrast prompt: the system prompt and the last user message only. In the
    first turn the two are the same, so nothing is changed; later, the further the dialogue has moved the model, the
    further it is moved back. The contrast prompt takes a sequence of the batch, but it is short.

    The cost is memory of the dialogue: with a weight of 1 the model answers every turn as if it were the first.
    """

    weight: float = 0.4
    """0 is the model without the control (and needs no contrast prompt), 1 the model under the contrast prompt."""
    keep: int = 0
    """Exchanges before the last user message that the contrast prompt includes."""

    name: ClassVar[str] = "anchor"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.keep < 0:
            raise ConfigError(
                f"control 'anchor': weight = {self.weight!r}, keep = {self.keep!r}; expected a weight from 0 to 1, and "
                "keep of 0 or more"
            )

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The system prompt and the end of the dialogue; none if that is the whole dialogue."""
        fresh = fresh_prompt(messages, self.keep) if self.weight else None
        return () if fresh is None else (fresh,)

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Interpolate between the logits under the two prompts."""
        return logits_R_V + self.weight * (contrast_K_R_V[0] - logits_R_V)


def fresh_prompt(messages: tuple[Message, ...], keep: int) -> tuple[Message, ...] | None:
    """Keep the system prompt and the last user message, with `keep` exchanges before it.

    Returns:
        None if there is no system prompt, or if that is the whole dialogue.
    """
    if not messages or messages[0].role != "system":
        return None
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    if len(asked) <= keep + 1:
        return None
    return (messages[0], *messages[asked[-1 - keep] :])
