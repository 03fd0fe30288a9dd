"""From an action to prefix embeddings: learned, along principal components, or as a mixture of dialogue acts.

Shapes: B batch, A action, L prefix tokens, D hidden, C components, K acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from telic.errors import ConfigError
from telic.models.local import LocalModel

__all__ = ["Acts", "Embeddings", "Learned", "Principal", "UpMapping", "embeddings_of", "shares"]

ROWS = 8192
"""Embeddings looked at together: all of a large vocabulary would take gigabytes."""
SHARPNESS = 6.0
"""Of a mixture of acts: an act whose number is 1 above all others' has nearly the whole (96 % among sixteen)."""
SPREAD = 0.1
"""How far a learned mapping's first prefixes lie from the mean embedding, in standard deviations of embeddings."""


class Embeddings(NamedTuple):
    """What a model's input embeddings are like, at the scale at which they enter the model."""

    mean_D: torch.Tensor
    covariance_D_D: torch.Tensor

    @property
    def deviation(self) -> float:
        """Standard deviation, over features and tokens."""
        return float(self.covariance_D_D.diagonal().mean().sqrt())

    def components(self, count: int) -> torch.Tensor:
        """The leading principal components, unit vectors, float32 [count, D]."""
        vectors_D_D: torch.Tensor = torch.linalg.eigh(self.covariance_D_D).eigenvectors
        return vectors_D_D.flip(1)[:, :count].T.float().contiguous()


@torch.no_grad()
def embeddings_of(model: LocalModel) -> Embeddings:
    """Take mean and covariance over the vocabulary."""
    embed = model.model.get_input_embeddings()
    count, size = len(embed.weight), model.hidden_size
    total_D = torch.zeros(size, dtype=torch.float64)
    products_D_D = torch.zeros(size, size, dtype=torch.float64)
    for tokens in torch.split(torch.arange(count), ROWS):
        rows_N_D = embed(tokens.to(embed.weight.device)).cpu().double()
        total_D += rows_N_D.sum(0)
        products_D_D += rows_N_D.T @ rows_N_D
    mean_D = total_D / count
    return Embeddings(mean_D.float(), products_D_D / count - mean_D.outer(mean_D))


class UpMapping(nn.Module):
    """Base of all mappings.

    Args:
        action_size: A.
        tokens: L.
        hidden_size: D.
    """

    def __init__(self, action_size: int, tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.action_size, self.tokens, self.hidden_size = action_size, tokens, hidden_size

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [B, L, D]."""
        raise NotImplementedError


class Learned(UpMapping):
    """`W a + b`, with `b` the mean embedding at first, and `W` so small that prefixes start close to it."""

    def __init__(
        self,
        action_size: int,
        tokens: int,
        hidden_size: int,
        embeddings: Embeddings | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(action_size, tokens, hidden_size)
        weight_LD_A = torch.randn(tokens * hidden_size, action_size, generator=generator)
        scale = SPREAD * embeddings.deviation if embeddings else SPREAD
        self.weight = nn.Parameter(weight_LD_A * scale / max(action_size, 1) ** 0.5)
        start_D = embeddings.mean_D if embeddings else torch.zeros(hidden_size)
        self.bias = nn.Parameter(start_D.repeat(tokens))

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [B, L, D]."""
        flat_B_LD = nn.functional.linear(actions_B_A, self.weight, self.bias)
        return flat_B_LD.view(len(actions_B_A), self.tokens, self.hidden_size)


class Principal(UpMapping):
    """The mean embedding plus a step of fixed length along the embeddings' leading principal components.

    Nothing is trained. Each prefix token has its own share `A / L` of the action; the whole action is brought to the
    length `act_norm`, except that no action stays none.

    Raises:
        ConfigError: the action cannot be shared out evenly, or its length is no positive number.
    """

    mean: torch.Tensor
    components: torch.Tensor

    def __init__(
        self,
        action_size: int,
        tokens: int,
        hidden_size: int,
        act_norm: float,
        embeddings: Embeddings | None = None,
    ) -> None:
        super().__init__(action_size, tokens, hidden_size)
        share = action_size // tokens if tokens else 0
        if share * tokens != action_size or share > hidden_size:
            raise ConfigError(
                f"the action has {action_size} numbers for {tokens} prefix tokens of {hidden_size}; the principal "
                "components need as many for each token, and no more than it has"
            )
        if not act_norm > 0:
            raise ConfigError(f"act_norm is {act_norm!r}; expected a number above 0")
        self.act_norm = act_norm
        self.register_buffer("mean", embeddings.mean_D if embeddings else torch.zeros(hidden_size))
        self.register_buffer(
            "components", embeddings.components(share) if embeddings else torch.zeros(share, hidden_size)
        )

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [B, L, D]."""
        steps_B_A = self.act_norm * nn.functional.normalize(actions_B_A, dim=-1)
        steps_B_L_C = steps_B_A.view(len(actions_B_A), self.tokens, -1)
        return self.mean + steps_B_L_C @ self.components


class Acts(UpMapping):
    """A mixture of the prefixes of dialogue acts (`telic.planner.dialogue_acts`), each with its share in the action.

    The shares are the softmax of `SHARPNESS` times the action, so that the numbers of an action are of the order of 1,
    like those of the other mappings and the noise on them.

    Args:
        names: K acts; the action has a number for each.
        tokens: L.
        hidden_size: D.
        prefixes_K_L_D: their distilled prefixes.
    """

    prefixes: torch.Tensor

    def __init__(
        self, names: Sequence[str], tokens: int, hidden_size: int, prefixes_K_L_D: torch.Tensor | None = None
    ) -> None:
        super().__init__(len(names), tokens, hidden_size)
        self.names = tuple(names)
        zeros_K_L_D = torch.zeros(len(names), tokens, hidden_size)
        self.register_buffer("prefixes", zeros_K_L_D if prefixes_K_L_D is None else prefixes_K_L_D.detach().clone())

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [B, L, D]."""
        return torch.einsum("bk,kld->bld", shares(actions_B_A), self.prefixes)

    def describe(self, action_A: torch.Tensor) -> list[tuple[str, float]]:
        """The acts with their shares, the largest first."""
        found = shares(torch.as_tensor(action_A).float()).tolist()
        return sorted(zip(self.names, found, strict=True), key=lambda item: -item[1])


def shares(actions_B_A: torch.Tensor) -> torch.Tensor:
    """The share of each act in mixtures: [B, A], each above 0, 1 in all."""
    return (SHARPNESS * actions_B_A).softmax(-1)
