"""Split-softmax: raises the attention to the system prompt by a constant exponent (arXiv 2402.10962)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from telic.errors import ConfigError
from telic.models.control import Control, ControlBatch, ControlPoint

if TYPE_CHECKING:
    import torch

__all__ = ["SplitSoftmax"]


@dataclass(frozen=True)
class SplitSoftmax(Control):
    """Raises the attention mass `pi` on the system prompt to `pi ** k`, in every layer and head, for every later token.

    Within the system prompt, and outside it, the relative attention stays the same: the weights are scaled by
    `pi**k / pi` and `(1 - pi**k) / (1 - pi)`.
    """

    k: float = 0.9
    """1 is the model without the control; the smaller, the more attention goes to the system prompt."""
    span: Literal["turn", "content"] = "content"
    """Which tokens count as the system prompt: its whole turn (with what may be the attention sink), or its content."""

    name: ClassVar[str] = "split_softmax"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})

    def __post_init__(self) -> None:
        if not 0 <= self.k <= 1:
            raise ConfigError(f"control 'split_softmax': k is {self.k!r}; expected a number between 0 and 1")
        if self.span not in ("turn", "content"):
            raise ConfigError(f"control 'split_softmax': span is {self.span!r}; expected 'turn' or 'content'")

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        """Return `log(pi ** k)`."""
        return self.k * log_mass_R_H_Q
