"""Up-mappings from an action to prefix embeddings: learned, along principal components, or a mixture of acts.

Shapes: B batch, A action, L prefix tokens, D hidden, C components, K acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from telic.errors import ConfigError
from telic.models.local import LocalModel

__all__ = [
    "ActMapping",
    "Embeddings",
    "LearnedMapping",
    "PrincipalMapping",
    "UpMapping",
    "act_shares",
    "embeddings_of",
]

ROWS = 8192
"""Embeddings that are processed at once; those of a whole large vocabulary would take gigabytes."""
SHARPNESS = 6.0
"""Factor on the action before the softmax over acts. An act that is 1 above all others gets 96 % among sixteen acts."""
SPREAD = 0.1
"""Initial distance of a learned mapping's prefixes from the mean embedding, in standard deviations of embeddings."""


class Embeddings(NamedTuple):
    """Mean and covariance of a model's input embeddings, at the scale at which they enter the model."""

    mean_D: torch.Tensor
    covariance_D_D: torch.Tensor

    @property
    def deviation(self) -> float:
        """Standard deviation over features and tokens."""
        return float(self.covariance_D_D.diagonal().mean().sqrt())

    def components(self, count: int) -> torch.Tensor:
        """Compute the leading principal components, unit vectors, float32 [count, D]."""
        vectors_D_D: torch.Tensor = torch.linalg.eigh(self.covariance_D_D).eigenvectors
        return vectors_D_D.flip(1)[:, :count].T.float().contiguous()


@torch.no_grad()
def embeddings_of(model: LocalModel) -> Embeddings:
    """Compute mean and covariance of the input embeddings over the vocabulary."""
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
    """Base class of the up-mappings.

    Args:
        action_size: A.
        tokens: L.
        hidden_size: D.
    """

    def __init__(self, action_size: int, tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.action_size, self.tokens, self.hidden_size = action_size, tokens, hidden_size

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Map actions [B, A] to prefix embeddings [B, L, D]."""
        raise NotImplementedError


class LearnedMapping(UpMapping):
    """`W a + b`. Initially `b` is the mean embedding, and `W` is so small that prefixes start close to it."""

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
        """Map actions [B, A] to prefix embeddings [B, L, D]."""
        flat_B_LD = nn.functional.linear(actions_B_A, self.weight, self.bias)
        return flat_B_LD.view(len(actions_B_A), self.tokens, self.hidden_size)


class PrincipalMapping(UpMapping):
    """The mean embedding plus a step of fixed length along the embeddings' leading principal components.

    Nothing is trained. Each prefix token reads `A / L` numbers of the action. The whole action is scaled to the length
    `act_norm`; an action of zeros stays zero.

    Raises:
        ConfigError: the action cannot be divided evenly among the tokens, or `act_norm` is not positive.
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
                f"action_size is {action_size} with {tokens} prefix tokens; the mapping 'principal' expects a multiple "
                f"of the tokens, at most {hidden_size} for each"
            )
        if not act_norm > 0:
            raise ConfigError(f"act_norm is {act_norm!r}; expected a number above 0")
        self.act_norm = act_norm
        self.register_buffer("mean", embeddings.mean_D if embeddings else torch.zeros(hidden_size))
        self.register_buffer(
            "components", embeddings.components(share) if embeddings else torch.zeros(share, hidden_size)
        )

    def forward(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Map actions [B, A] to prefix embeddings [B, L, D]."""
        steps_B_A = self.act_norm * nn.functional.normalize(actions_B_A, dim=-1)
        steps_B_L_C = steps_B_A.view(len(actions_B_A), self.tokens, -1)
        return self.mean + steps_B_L_C @ self.components


class ActMapping(UpMapping):
    """A mixture of the prefixes of dialogue acts (`telic.planner.dialogue_acts`).

    The share of each act is the softmax of `SHARPNESS` times the action. So the components of an action are of the
    order of 1, as with the other mappings, and the same exploration noise suits them.

    Args:
        names: names of the K acts; the action has one number for each.
        tokens: L.
        hidden_size: D.
        prefixes_K_L_D: the distilled prefixes of the acts; by default zeros, to be loaded.
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
        """Map actions [B, A] to prefix embeddings [B, L, D]."""
        return torch.einsum("bk,kld->bld", act_shares(actions_B_A), self.prefixes)

    def describe(self, action_A: torch.Tensor) -> list[tuple[str, float]]:
        """List the acts with their shares, the largest first."""
        found = act_shares(torch.as_tensor(action_A).float()).tolist()
        return sorted(zip(self.names, found, strict=True), key=lambda item: -item[1])


def act_shares(actions_B_A: torch.Tensor) -> torch.Tensor:
    """Compute the share of each act in actions [B, A]: [B, A], each above 0, with a sum of 1."""
    return (SHARPNESS * actions_B_A).softmax(-1)
