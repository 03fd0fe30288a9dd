"""Cloning of dialogue acts: which act paid off in which state, learnt from what was tried.

Where actions are mixtures of acts, and one act was played at a time, advantage-weighted cloning (arXiv 1910.00177)
needs no gradient through the model: the policy becomes the acts that were played, weighted by what they earned. It
takes seconds, where cloning the utterances takes minutes, and learns from every act that was tried.

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
from telic.planner.planner import Planner, clone_of
from telic.planner.standardise import Standardise
from telic.planner.upmapping import SHARPNESS

__all__ = ["clone_acts"]

BATCH, LR, WEIGHT_DECAY = 64, 1e-4, 1e-2
AGAIN_LR = 1e-2
"""Of the one weight that all acts share, which has far to go and much to learn from."""
FIFTH = 5
"""Every so-manieth episode is not learnt from: it says when to stop."""
PATIENCE = 5
"""Epochs without a better loss on those before it stops."""


def clone_acts(
    planner: Planner, data: Transitions, *, gamma: float = 0.99, beta: float = 0.5, epochs: int = 200, seed: int = 0
) -> list[float]:
    """Teach a planner, in place, to draw the acts that earned more than is usual in their round.

    Minimises the cross-entropy of the acts that were played, weighted by `advantage_weights`, so that the policy
    becomes that by which they were played, times the weights. It starts as the best that does not look at the state:
    that is most of what a few hundred episodes say. Of the states it learns what also holds in episodes that it did not
    learn from.

    Args:
        planner: its actions are mixtures of acts, and nothing was learnt on top of its clone yet.
        data: transitions in which single acts were played.
        gamma: discount.
        beta: temperature; see `advantage_weights`.
        epochs: at most.
        seed: draws the first weights and the order.

    Returns:
        The loss in nats, at first and after every epoch, on the fifth of the episodes that is held back; the policy is
        the one with the least.

    Raises:
        ConfigError: the planner has other actions, or the data are of other states or acts.
    """
    shape = planner.shape
    if shape.mapping != "acts" or not isinstance(planner.policy.clone, Actor) or planner.policy.residual is not None:
        raise ConfigError("acts are cloned into a planner whose actions are mixtures of acts, and into its clone only")
    if data.sizes != (shape.state_size, shape.action_size):
        raise ConfigError(
            f"the transitions have states and actions of {data.sizes}, the planner of "
            f"{(shape.state_size, shape.action_size)}"
        )
    standardise = Standardise.fit(data.states, shape.remembered)
    states_N_D, played_N = standardise(data.states), data.actions.argmax(1)
    weights_N = advantage_weights(data.advantages(gamma), baseline=0.0, beta=beta)
    names = list(dict.fromkeys(data.episodes))
    held = {name for number, name in enumerate(names) if number % FIFTH == FIFTH - 1}
    held_N = torch.tensor([name in held for name in data.episodes])
    drawn = torch.Generator().manual_seed(seed)
    actor = clone_of(shape, drawn, zero_last=True)
    assert isinstance(actor, Actor)
    learnt, judged = (~held_N).nonzero().flatten(), held_N.nonzero().flatten()
    counts_A = torch.ones(shape.action_size).index_add(0, played_N[learnt], weights_N[learnt])
    last = actor.layers[-1]
    assert isinstance(last, nn.Linear)
    last.bias.data = (counts_A / counts_A.sum()).log() / SHARPNESS

    def loss_of(index_B: torch.Tensor) -> torch.Tensor:
        found_B = functional.cross_entropy(SHARPNESS * actor(states_N_D[index_B]), played_N[index_B], reduction="none")
        return (weights_N[index_B] * found_B).sum() / weights_N[index_B].sum().clamp_min(1e-8)

    losses = _descend(actor, loss_of, learnt, judged, epochs, drawn)
    _read_raw_states(actor, standardise)
    planner.policy.clone.load_state_dict(actor.state_dict())
    return losses


def _descend(
    actor: Actor,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    learnt: torch.Tensor,
    judged: torch.Tensor,
    epochs: int,
    drawn: torch.Generator,
) -> list[float]:
    """Learn until what is held back gets no better; leaves the actor at its best, and returns the losses there."""
    rates = [{"params": [p], "lr": AGAIN_LR if name == "again" else LR} for name, p in actor.named_parameters()]
    optimiser = torch.optim.AdamW(rates, weight_decay=WEIGHT_DECAY)

    @torch.no_grad()
    def judge() -> float:
        return float(loss_of(judged)) if len(judged) else 0.0

    losses, best = [judge()], deepcopy(actor.state_dict())
    while len(losses) <= epochs and len(losses) - losses.index(min(losses)) <= PATIENCE:
        for index_B in torch.split(learnt[torch.randperm(len(learnt), generator=drawn)], BATCH):
            optimiser.zero_grad()
            loss_of(index_B).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        losses.append(judge())
        if losses[-1] == min(losses):
            best = deepcopy(actor.state_dict())
    actor.load_state_dict(best)
    return losses


@torch.no_grad()
def _read_raw_states(actor: Actor, standardise: Standardise) -> None:
    """Let the first layer bring states to mean 0 and deviation 1, since a clone is given them as they are."""
    first = actor.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.div_(standardise.std)
    first.bias.sub_(first.weight @ standardise.mean)
