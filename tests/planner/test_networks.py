"""The actor and the stacked critics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from telic.planner.networks import Actor, TwinCritics
from telic.planner.standardise import Standardise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def critic_alone(critics: TwinCritics, member: int) -> nn.Sequential:
    """One of the twins as a plain module."""
    layers: list[nn.Module] = []
    for weight, bias in zip(critics.weights, critics.biases, strict=True):
        linear = nn.Linear(weight.shape[2], weight.shape[1])
        linear.weight, linear.bias = nn.Parameter(weight[member].detach()), nn.Parameter(bias[member].detach())
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def test_the_actor_has_the_published_sizes() -> None:
    shapes = [tuple(p.shape) for p in Actor(12, 5).parameters()]
    assert shapes == [(12, 12), (12,), (12, 12), (12,), (5, 12), (5,)]
    assert Actor(12, 5)(torch.zeros(7, 12)).shape == (7, 5)


def test_an_actor_can_start_at_zero_and_still_learns() -> None:
    actor = Actor(6, 3, 8, zero_last=True)
    states = torch.randn(4, 6, generator=generator())
    assert torch.equal(actor(states), torch.zeros(4, 3))
    (actor(states) - 1).square().mean().backward()
    last = actor.layers[-1].weight
    assert isinstance(last, nn.Parameter)
    assert last.grad is not None
    assert last.grad.abs().sum() > 0


def test_a_bound_is_kept_by_tanh() -> None:
    free, bound = Actor(6, 3, 8, generator=generator()), Actor(6, 3, 8, bound=0.1, generator=generator())
    states = 50 * torch.randn(64, 6, generator=generator(1))
    assert free(states).abs().max() > 0.1
    assert bound(states).abs().max() <= 0.1
    torch.testing.assert_close(bound(states), 0.1 * free(states).tanh())


def test_the_generator_alone_draws_the_weights() -> None:
    before = torch.get_rng_state()
    first, again, other = (Actor(6, 3, generator=generator(seed)) for seed in (0, 0, 1))
    TwinCritics(6, 3, generator=generator())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)  # type: ignore[arg-type]


def test_the_twins_are_two_critics() -> None:
    critics = TwinCritics(6, 3, 8, 5, generator=generator())
    states, actions = torch.randn(9, 6, generator=generator(1)), torch.randn(9, 3, generator=generator(2))
    both = critics(states, actions)
    assert both.shape == (2, 9)
    for member in (0, 1):
        alone = critic_alone(critics, member)(torch.cat((states, actions), 1)).squeeze(1)
        torch.testing.assert_close(both[member], alone)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_the_first_critic_passes_gradients_to_the_actions_alone() -> None:
    critics = TwinCritics(6, 3, 8, 5, generator=generator())
    states, actions = torch.randn(9, 6, generator=generator(1)), torch.randn(9, 3, generator=generator(2))
    states.requires_grad_()
    through_both, through_first = actions.clone().requires_grad_(), actions.clone().requires_grad_()
    values = critics.first(states.detach(), through_first)
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in critics.parameters())
    reference = critics(states, through_both)[0]
    reference.sum().backward()
    torch.testing.assert_close(values, reference)
    torch.testing.assert_close(through_first.grad, through_both.grad)


@pytest.mark.parametrize("twin", [0, 1])
def test_each_twin_has_its_own_gradient(twin: int) -> None:
    critics = TwinCritics(6, 3, 8, 5, generator=generator())
    states, actions = torch.randn(9, 6, generator=generator(1)), torch.randn(9, 3, generator=generator(2))
    critics(states, actions)[twin].sum().backward()
    for parameter in critics.parameters():
        assert parameter.grad is not None
        assert parameter.grad[twin].abs().sum() > 0
        assert parameter.grad[1 - twin].abs().sum() == 0


def test_standardised_states_have_mean_zero_and_deviation_one() -> None:
    states = 3 * torch.randn(500, 4, generator=generator()) + torch.tensor([0.0, 10.0, -100.0, 1.0])
    found = Standardise.fit(states)(states)
    torch.testing.assert_close(found.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_a_constant_feature_is_not_blown_up() -> None:
    states = torch.randn(50, 3, generator=generator())
    states[:, 1], states[:, 2] = 0.1, 0.0
    standardise = Standardise.fit(states)
    changed = states + torch.tensor([0.0, 0.5, 0.5])
    torch.testing.assert_close(standardise(changed)[:, 1:], torch.full((50, 2), 0.5))


def test_standardisation_is_saved_with_a_module() -> None:
    states = torch.randn(20, 4, generator=generator()) * 7
    fitted, fresh = Standardise.fit(states), Standardise.identity(4)
    assert torch.equal(fresh(states), states)
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(states), fitted(states))
