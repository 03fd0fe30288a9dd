"""Anchor: the next token is kept near what the model would say if the dialogue had only just begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint

if TYPE_CHECKING:
    import torch

__all__ = ["Anchor", "begun_anew"]


@dataclass(frozen=True)
class Anchor(Control):
    """Moves the logits towards what the model would say at the dialogue's first turn.

    `(1 - weight) l_dialogue + weight l_fresh`: the geometric mean of two distributions (a product of experts, Hinton
    2002), of which the second knows the system prompt and the last user message only. In the first turn both are one
    and nothing is changed; later, the further the dialogue has moved the model, the further it is moved back. A second
    stream reads the short dialogue and gets the same reply; it has a row of the batch, but hardly anything to read.

    What it costs is memory of the dialogue: at a weight of 1 every turn is the first.
    """

    weight: float = 0.4
    """0 is the model as it is (and needs no second stream), 1 the model that has forgotten the dialogue."""
    keep: int = 0
    """Exchanges before the last user message that the second stream still knows."""

    name: ClassVar[str] = "anchor"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.keep < 0:
            raise ConfigError(
                f"control 'anchor': weight = {self.weight!r}, keep = {self.keep!r}; expected a weight from 0 to 1, and "
                "a number of exchanges of 0 or more"
            )

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The system prompt and the end of the dialogue; nothing where that is all there is."""
        fresh = begun_anew(messages, self.keep) if self.weight else None
        return () if fresh is None else (fresh,)

    def contrast(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Interpolate between the two streams."""
        return logits_R_V + self.weight * (contrast_K_R_V[0] - logits_R_V)


def begun_anew(messages: tuple[Message, ...], keep: int) -> tuple[Message, ...] | None:
    """The system prompt and the last user message, with so many exchanges before it.

    Returns:
        None if there is no system prompt, or no more than that was said.
    """
    if not messages or messages[0].role != "system":
        return None
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    if len(asked) <= keep + 1:
        return None
    return (messages[0], *messages[asked[-1 - keep] :])
