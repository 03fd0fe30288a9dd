"""Networks of a planner: an actor, and twin critics that are computed together.

Shapes: B batch, D state, A action, H hidden. The sizes follow Li et
al., arXiv 2406.11978: actor D -> D -> D -> A, critic (D + A) -> D -> 256 -> 1, with SiLU between the layers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Actor", "TwinCritics"]


class Actor(nn.Module):
    """A policy: state to action.

    Args:
        state_size: D.
        action_size: A.
        hidden: H; by default D.
        zero_last: start with the last layer at zero, so that the policy starts as the clone that it is added to.
        bound: bound on the absolute value of each component of the action, by `bound * tanh`. None for no bound.
        remembered: number of features at the end of the state that count how often each act was played. One more
            weight, `again`, is multiplied with these counts and added to the action. All acts share it, so it is
            learnt from all of them.
        generator: draws the weights; by default torch's global generator.
    """

    def __init__(
        self,
        state_size: int,
        action_size: int,
        hidden: int | None = None,
        *,
        zero_last: bool = False,
        bound: float | None = None,
        remembered: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden or state_size
        self.bound, self.remembered = bound, remembered
        if remembered:
            self.again = nn.Parameter(torch.zeros(()))
        self.layers = nn.Sequential(
            _linear(state_size, hidden, generator),
            nn.SiLU(),
            _linear(hidden, hidden, generator),
            nn.SiLU(),
            _linear(hidden, action_size, generator),
        )
        if zero_last:
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Compute actions [B, A] from states [B, D]."""
        actions_B_A: torch.Tensor = self.layers(states_B_D)
        if self.remembered:
            actions_B_A = actions_B_A + self.again * states_B_D[:, -self.remembered :]
        return actions_B_A if self.bound is None else self.bound * actions_B_A.tanh()


class TwinCritics(nn.Module):
    """Two critics of the same shape. Their weights are stacked, so that each layer of both is one matrix product.

    Args:
        state_size: D.
        action_size: A.
        hidden: width of the first layer; by default D.
        narrow: width of the second layer.
        generator: draws the weights; by default torch's global generator.
    """

    def __init__(
        self,
        state_size: int,
        action_size: int,
        hidden: int | None = None,
        narrow: int = 256,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = (state_size + action_size, hidden or state_size, narrow, 1)
        self.state_size = state_size
        self.weights = nn.ParameterList()
        """Per layer [2, out, in]."""
        self.biases = nn.ParameterList()
        """Per layer [2, out]."""
        for fan_in, fan_out in pairwise(sizes):
            self.weights.append(_drawn((2, fan_out, fan_in), fan_in, generator))
            self.biases.append(_drawn((2, fan_out), fan_in, generator))

    def forward(self, states_B_D: torch.Tensor, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Compute the values of both critics, [2, B]."""
        inputs_B_I = torch.cat((states_B_D, actions_B_A), dim=1)
        # Both critics read the same input, so their first layers are one wide product.
        first_B_H = functional.linear(inputs_B_I, self.weights[0].flatten(0, 1), self.biases[0].flatten())
        hidden = functional.silu(first_B_H.view(len(inputs_B_I), *self.biases[0].shape).transpose(0, 1))
        hidden = functional.silu(torch.baddbmm(self.biases[1].unsqueeze(1), hidden, self.weights[1].mT))
        return torch.baddbmm(self.biases[2].unsqueeze(1), hidden, self.weights[2].mT).squeeze(-1)

    def first(self, states_B_D: torch.Tensor, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Compute the values of the first critic, [B], for the actor's loss: only the actions get a gradient.

        Autograd alone would also compute the gradients of the states and of all the critic's weights, which nothing
        uses.
        """
        weights = [weight[0].detach() for weight in self.weights]
        biases = [bias[0].detach() for bias in self.biases]
        of_states, of_actions = weights[0].split((self.state_size, actions_B_A.shape[1]), dim=1)
        hidden = functional.linear(states_B_D, of_states, biases[0]) + functional.linear(actions_B_A, of_actions)
        hidden = functional.linear(functional.silu(hidden), weights[1], biases[1])
        return functional.linear(functional.silu(hidden), weights[2], biases[2]).squeeze(-1)


def _linear(fan_in: int, fan_out: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, device="meta")  # its own initialisation would draw from the global generator
    layer.weight = _drawn((fan_out, fan_in), fan_in, generator)
    layer.bias = _drawn((fan_out,), fan_in, generator)
    return layer


def _drawn(shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None) -> nn.Parameter:
    """Draw weights as torch initialises a linear layer: uniformly within `1 / sqrt(fan_in)` of zero."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
