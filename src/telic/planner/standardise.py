"""Standardisation of states to mean 0 and standard deviation 1 over the buffer."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Standardise"]

FLAT = 1e-6
"""A feature whose standard deviation is below this fraction of its largest value is constant up to rounding."""


class Standardise(nn.Module):
    """`(s - mean) / std` per feature. Its two tensors are saved with the planner.

    Args:
        mean_D: mean of each feature.
        std_D: standard deviation of each feature, above zero.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean_D: torch.Tensor, std_D: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean_D.detach().clone())
        self.register_buffer("std", std_D.detach().clone())

    @classmethod
    def fit(cls, states_N_D: torch.Tensor, keep: int = 0) -> Standardise:
        """Estimate mean and standard deviation from states. A constant feature is only centred, not scaled.

        Args:
            states_N_D: the states.
            keep: number of features at the end (counts of acts) that stay unchanged.
        """
        variance_D, mean_D = torch.var_mean(states_N_D, dim=0, correction=0)
        std_D = variance_D.sqrt()
        constant_D = std_D <= FLAT * states_N_D.abs().amax(dim=0)
        std_D = torch.where(constant_D, torch.ones_like(std_D), std_D)
        if keep:
            mean_D[-keep:], std_D[-keep:] = 0.0, 1.0
        return cls(mean_D, std_D)

    @classmethod
    def identity(cls, size: int) -> Standardise:
        """Make a standardisation that leaves states of `size` features unchanged."""
        return cls(torch.zeros(size), torch.ones(size))

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Standardise states [B, D]."""
        return (states_B_D - self.mean) / self.std
