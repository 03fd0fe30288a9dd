"""What the planner does in a state: a frozen clone of the model's own ways, and what was learnt to add to it.

Shapes: B batch, D state, A action.
"""

from __future__ import annotations

import torch
from torch import nn

from telic.planner.networks import Actor
from telic.planner.standardise import Standardise

__all__ = ["Constant", "Policy"]


class Constant(nn.Module):
    """The same action in every state, learnt as such: the baseline that a policy has to beat."""

    def __init__(self, action_size: int) -> None:
        super().__init__()
        self.action = nn.Parameter(torch.zeros(action_size))

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Actions [B, A]."""
        return self.action.expand(len(states_B_D), -1)


class Policy(nn.Module):
    """`a = clone(s) + residual((s - mu) / sigma)` (Li et al., arXiv 2406.11978, section 3.3).

    Args:
        clone: trained first, to say what the unsteered model says, or what was worth saying.
        residual: trained on top of it, from reward; None for none (yet).
        standardise: how the residual's states are brought to mean 0 and deviation 1.
    """

    def __init__(
        self, clone: Actor | Constant, residual: Actor | None = None, standardise: Standardise | None = None
    ) -> None:
        super().__init__()
        self.clone, self.residual, self.standardise = clone, residual, standardise

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Actions [B, A]."""
        actions_B_A: torch.Tensor = self.clone(states_B_D)
        if self.residual is None:
            return actions_B_A
        added_B_A: torch.Tensor = self.residual(
            states_B_D if self.standardise is None else self.standardise(states_B_D)
        )
        return actions_B_A + added_B_A
