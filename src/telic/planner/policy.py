"""The policy of a planner: a cloned network, and a residual network that was trained from reward on top of it.

Shapes: B batch, D state, A action.
"""

from __future__ import annotations

import torch
from torch import nn

from telic.planner.networks import Actor
from telic.planner.standardise import Standardise

__all__ = ["ConstantPolicy", "Policy"]


class ConstantPolicy(nn.Module):
    """The same trained action in every state: a rival that a policy which reads the state has to beat."""

    def __init__(self, action_size: int) -> None:
        super().__init__()
        self.action = nn.Parameter(torch.zeros(action_size))

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Compute actions [B, A] from states [B, D]."""
        return self.action.expand(len(states_B_D), -1)


class Policy(nn.Module):
    """`a = clone(s) + residual((s - mu) / sigma)` (Li et al., arXiv 2406.11978, section 3.3).

    Args:
        clone: trained first, on what the baseline model said or on what paid off.
        residual: trained on top of the clone, from reward; None before that.
        standardise: brings the states of the residual to mean 0 and standard deviation 1.
    """

    def __init__(
        self, clone: Actor | ConstantPolicy, residual: Actor | None = None, standardise: Standardise | None = None
    ) -> None:
        super().__init__()
        self.clone, self.residual, self.standardise = clone, residual, standardise

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Compute actions [B, A] from states [B, D]."""
        actions_B_A: torch.Tensor = self.clone(states_B_D)
        if self.residual is None:
            return actions_B_A
        added_B_A: torch.Tensor = self.residual(
            states_B_D if self.standardise is None else self.standardise(states_B_D)
        )
        return actions_B_A + added_B_A
