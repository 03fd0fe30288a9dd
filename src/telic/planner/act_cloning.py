"""Cloning of dialogue acts: learn from episodes which act paid off in which state.

Where actions are mixtures of acts and each turn played a single act, advantage-weighted regression (arXiv 1910.00177)
needs no gradient through the model: the policy becomes the acts that were played, weighted by their advantages. It
takes seconds where cloning utterances takes minutes, and learns from every act that was tried.

Shapes: N transitions, B batch, D state, A acts.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional

from telic.errors import ConfigError
from telic.planner.buffer import Transitions
from telic.planner.cloning import advantage_weights
from telic.planner.networks import Actor
from telic.planner.planner import Planner, new_clone_network
from telic.planner.standardise import Standardise
from telic.planner.upmapping import SHARPNESS

__all__ = ["clone_acts"]

BATCH, LR, WEIGHT_DECAY = 64, 1e-4, 1e-2
AGAIN_LR = 1e-2
"""Learning rate of the actor's weight `again`, which all acts share: it has far to go, and learns from all of them."""
VALIDATION_STRIDE = 5
"""One episode in this many is held out, to decide when to stop."""
PATIENCE = 5
"""Epochs without a better validation loss before the training stops."""

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Computes the loss of the transitions with given indices."""


def clone_acts(
    planner: Planner,
    data: Transitions,
    *,
    gamma: float = 0.99,
    beta: float = 0.5,
    weights: torch.Tensor | None = None,
    continues: bool = False,
    epochs: int = 200,
    seed: int = 0,
) -> list[float]:
    """Train a planner, in place, to draw the acts that earned more than is usual in their round.

    Minimises the cross-entropy of the acts that were played, weighted by `advantage_weights`. The policy becomes the
    one by which they were played, times the weights. It starts as the best policy that does not read the state, which
    is most of what a few hundred episodes can teach; if it `continues`, as the planner with other constants. It keeps
    what it learns of the states as long as this also holds in the held-out episodes.

    Args:
        planner: a planner with the mapping `acts` and without a residual network.
        data: transitions in which single acts were played.
        gamma: discount.
        beta: temperature; see `advantage_weights`.
        weights: weights of the transitions instead, 0 or more: [N].
        continues: start from the planner's own network instead of a new one.
        epochs: maximum number of epochs.
        seed: seed of the initial weights and of the order of the transitions.

    Returns:
        The validation loss in nats, initially and after every epoch. The policy is the one with the lowest.

    Raises:
        ConfigError: the planner has other actions, or the sizes of the data differ from the planner's.
    """
    shape = planner.shape
    _check(planner, data)
    standardise = Standardise.fit(data.states, shape.remembered)
    states_N_D, played_N = standardise(data.states), data.actions.argmax(1)
    weights_N = advantage_weights(data.advantages(gamma), baseline=0.0, beta=beta) if weights is None else weights
    training, validation = _split(data)
    drawn = torch.Generator().manual_seed(seed)
    actor = deepcopy(planner.policy.clone) if continues else new_clone_network(shape, drawn, zero_last=True)
    assert isinstance(actor, Actor)
    if continues:
        _unfold(standardise, actor)
    _match_marginals(actor, states_N_D[training], played_N[training], weights_N[training])

    def loss_of(index_B: torch.Tensor) -> torch.Tensor:
        found_B = functional.cross_entropy(SHARPNESS * actor(states_N_D[index_B]), played_N[index_B], reduction="none")
        return (weights_N[index_B] * found_B).sum() / weights_N[index_B].sum().clamp_min(1e-8)

    losses = _fit(actor, loss_of, training, validation, epochs, drawn)
    _fold_in(standardise, actor)
    planner.policy.clone.load_state_dict(actor.state_dict())
    return losses


@torch.no_grad()
def _match_marginals(actor: Actor, states_N_D: torch.Tensor, played_N: torch.Tensor, weights_N: torch.Tensor) -> None:
    """Change the constants of an actor so that its mean shares of the acts come close to the weighted ones."""
    last = actor.layers[-1]
    assert isinstance(last, nn.Linear)
    prior_A = torch.ones(last.out_features)
    wanted_A = prior_A.index_add(0, played_N, weights_N)
    shares_N_A = (SHARPNESS * actor(states_N_D)).softmax(1)
    found_A = prior_A + (weights_N[:, None] * shares_N_A).sum(0)
    last.bias.add_((wanted_A / found_A).log() / SHARPNESS)


def _check(planner: Planner, data: Transitions) -> None:
    shape, policy = planner.shape, planner.policy
    if shape.mapping != "acts" or not isinstance(policy.clone, Actor) or policy.residual is not None:
        raise ConfigError(
            "clone_acts expects a planner whose actions are mixtures of acts, which reads the state, and without a "
            "residual network"
        )
    if data.sizes != (shape.state_size, shape.action_size):
        raise ConfigError(
            f"the transitions have states and actions of {data.sizes}, the planner of "
            f"{(shape.state_size, shape.action_size)}"
        )


def _split(data: Transitions) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the transitions by episode; returns the indices for training and for validation."""
    names = list(dict.fromkeys(data.episodes))
    held = {name for number, name in enumerate(names) if number % VALIDATION_STRIDE == VALIDATION_STRIDE - 1}
    held_N = torch.tensor([name in held for name in data.episodes])
    return (~held_N).nonzero().flatten(), held_N.nonzero().flatten()


def _fit(
    actor: Actor,
    loss_of: Loss,
    training: torch.Tensor,
    validation: torch.Tensor,
    epochs: int,
    drawn: torch.Generator,
) -> list[float]:
    """Train with early stopping. Leaves the actor at its best, and returns the validation losses."""
    rates = [{"params": [p], "lr": AGAIN_LR if name == "again" else LR} for name, p in actor.named_parameters()]
    optimiser = torch.optim.AdamW(rates, weight_decay=WEIGHT_DECAY)

    @torch.no_grad()
    def validate() -> float:
        return float(loss_of(validation)) if len(validation) else 0.0

    losses, best = [validate()], deepcopy(actor.state_dict())
    while len(losses) <= epochs and len(losses) - losses.index(min(losses)) <= PATIENCE:
        for index_B in torch.split(training[torch.randperm(len(training), generator=drawn)], BATCH):
            optimiser.zero_grad()
            loss_of(index_B).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        losses.append(validate())
        if losses[-1] == min(losses):
            best = deepcopy(actor.state_dict())
    actor.load_state_dict(best)
    return losses


@torch.no_grad()
def _unfold(standardise: Standardise, actor: Actor) -> None:
    """Make an actor of raw states read standardised ones; `_fold_in` takes it back."""
    first = actor.layers[0]
    assert isinstance(first, nn.Linear)
    first.bias.add_(first.weight @ standardise.mean)
    first.weight.mul_(standardise.std)


@torch.no_grad()
def _fold_in(standardise: Standardise, actor: Actor) -> None:
    """Fold the standardisation into the first layer, since a clone reads raw states."""
    first = actor.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.div_(standardise.std)
    first.bias.sub_(first.weight @ standardise.mean)
