"""TD3+BC against d3rlpy's, and on tasks whose best policy is known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch

from benchmarks.planner import interleaved
from telic.planner.buffer import Batch, Transitions
from telic.planner.td3bc import TD3BC, TD3BCConfig

Policy = Callable[[torch.Tensor], torch.Tensor]
QUICK = TD3BCConfig(alpha=20, tau=0.02, hidden=48, critic_hidden=48, actor_lr=1e-3, critic_lr=2e-3, batch=128)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Against d3rlpy.


def d3rlpy_twin(d3rlpy: Any, learner: TD3BC) -> Any:
    """d3rlpy's TD3+BC with the weights of a learner."""
    config, encoder = learner.config, d3rlpy.models.VectorEncoderFactory
    algorithm = d3rlpy.algos.TD3PlusBCConfig(
        batch_size=config.batch,
        actor_learning_rate=config.actor_lr,
        critic_learning_rate=config.critic_lr,
        actor_encoder_factory=encoder([config.hidden] * 2, activation="swish"),
        critic_encoder_factory=encoder([config.hidden, config.critic_hidden], activation="swish"),
    ).create(device="cpu:0")
    algorithm.create_impl((learner.data.sizes[0],), learner.data.sizes[1])
    modules = algorithm.impl.modules
    with torch.no_grad():
        for policy in (modules.policy, modules.targ_policy):
            for parameter, given in zip(policy.parameters(), learner.actor.parameters(), strict=True):
                parameter.copy_(given)
        for critics in (modules.q_funcs, modules.targ_q_funcs):
            for member, critic in enumerate(critics):
                for parameter, pair in zip(critic.parameters(), interleaved(learner), strict=True):
                    parameter.copy_(pair[member])
    return algorithm


def test_updates_are_those_of_d3rlpy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # d3rlpy's own imports raise many
        d3rlpy: Any = import_module("d3rlpy")
    drawn = seeded()
    states, actions = torch.randn(60, 5, generator=drawn), torch.rand(60, 2, generator=drawn) * 2 - 1
    rewards, ends = torch.randn(60, generator=drawn), torch.arange(60) % 4 == 3
    data = Transitions.from_arrays(states, actions, rewards, states.roll(-1, 0), ends)
    dataset = d3rlpy.dataset.MDPDataset(*(a.numpy() for a in (states, actions, rewards, ends.float())))
    config = TD3BCConfig(batch=16, hidden=12, critic_hidden=8, bound=1.0, zero_start=False, standardise=False)
    learner = TD3BC(data, config)
    theirs = d3rlpy_twin(d3rlpy, learner)
    for step in range(1, 7):
        sampled = dataset.sample_transition_batch(config.batch)
        torch.manual_seed(step)
        noise = torch.randn(config.batch, 2)
        torch.manual_seed(step)  # so that it draws the same
        told_theirs = theirs.impl.inner_update(torch_batch(d3rlpy, sampled), step)
        told = learner.update(own_batch(sampled), noise)
        assert float(told["critic_loss"]) == pytest.approx(told_theirs["critic_loss"], rel=1e-4)
        assert ("actor_loss" in told) == (step % 2 == 0)
        if step % 2 == 0:
            assert float(told["actor_loss"]) == pytest.approx(told_theirs["actor_loss"], rel=1e-4)
    modules = theirs.impl.modules
    pairs = [(learner.actor, modules.policy), (learner.target_actor, modules.targ_policy)]
    for own, other in pairs:
        torch.testing.assert_close(list(own.parameters()), list(other.parameters()), atol=1e-5, rtol=1e-4)
    for member, critic in enumerate(modules.q_funcs):
        own_weights = [p[member] for p in interleaved(learner)]
        torch.testing.assert_close(own_weights, list(critic.parameters()), atol=1e-5, rtol=1e-4)


def torch_batch(d3rlpy: Any, sampled: Any) -> Any:
    return d3rlpy.torch_utility.TorchMiniBatch.from_batch(
        sampled, gamma=0.99, compute_returns_to_go=False, device="cpu:0"
    )


def own_batch(sampled: Any) -> Batch:
    arrays = [sampled.observations, sampled.actions, sampled.rewards, sampled.next_observations, sampled.terminals]
    states, actions, rewards, next_states, terminals = (torch.as_tensor(a) for a in arrays)
    rewards, ones = rewards.squeeze(1), torch.ones(len(rewards))
    none = torch.zeros_like(actions)
    return Batch(states, actions, rewards, next_states, terminals.squeeze(1).bool(), none, none, ones, ones)


# A point that is to be driven to the origin: linear, with quadratic costs, so that the best policy is known.

GAMMA, EFFORT = 0.9, 0.5


def best_gain() -> float:
    """k of the best policy `a = -k s`: the fixed point of the discounted Riccati equation, for s' = s + a."""
    p = 1.0
    for _ in range(200):
        p = 1 + GAMMA * p - (GAMMA * p) ** 2 / (EFFORT + GAMMA * p)
    return GAMMA * p / (EFFORT + GAMMA * p)


def cost(policy: Policy) -> float:
    """Mean discounted cost over starts all around the origin."""
    angles = torch.arange(16) * torch.pi / 8
    states = torch.stack((angles.cos(), angles.sin()), 1)
    total = torch.zeros(16)
    for t in range(40):
        actions = policy(states)
        total += GAMMA**t * (states.square().sum(1) + EFFORT * actions.square().sum(1))
        states = states + actions
    return float(total.mean())


def driven(clone: bool) -> Transitions:
    """Broken-off episodes of a slow, noisy driver; with its mean action as the clone's, or without a clone."""
    drawn = seeded()
    states = [2 * torch.rand(400, 2, generator=drawn) - 1]
    actions, rewards = [], []
    for _ in range(6):
        actions.append(-0.2 * states[-1] + 0.5 * torch.randn(400, 2, generator=drawn))
        rewards.append(-states[-1].square().sum(1) - EFFORT * actions[-1].square().sum(1))
        states.append(states[-1] + actions[-1])
    now, then = torch.stack(states[:-1], 1).flatten(0, 1), torch.stack(states[1:], 1).flatten(0, 1)
    return Transitions.from_arrays(
        now,
        torch.stack(actions, 1).flatten(0, 1),
        torch.stack(rewards, 1).flatten(),
        then,
        torch.zeros(len(now)),
        clones=-0.2 * now if clone else None,
        next_clones=-0.2 * then if clone else None,
        episodes=[str(i // 6) for i in range(len(now))],
    )


@pytest.mark.parametrize(("clone", "precision"), [(False, "float32"), (True, "float32"), (True, "bfloat16")])
def test_it_drives_a_point_home_nearly_as_well_as_can_be(clone: bool, precision: str) -> None:
    learner = TD3BC(driven(clone), QUICK.model_copy(update={"gamma": GAMMA, "precision": precision}))
    points = list(learner.learn(600, every=200))
    best, behaviour = cost(lambda s: -best_gain() * s), cost(lambda s: -0.2 * s)
    learnt = cost(lambda s: learner.act(s, -0.2 * s if clone else 0.0))
    assert best < 0.6 * behaviour  # there is something to be learnt
    assert (behaviour - learnt) / (behaviour - best) > 0.9
    assert points[-1]["critic_loss"] < points[0]["critic_loss"]


# Three rounds, of which the first two cost what the third pays back: who looks one step ahead does the wrong thing.


def patient(n: int = 1500) -> Transitions:
    """Random play. State: which round it is, and the sum of the actions so far; only that sum is paid, at the end."""
    drawn = seeded()
    actions = 2 * torch.rand(n, 3, 1, generator=drawn) - 1
    so_far = torch.cat((torch.zeros(n, 1), actions[:, :2, 0].cumsum(1)), 1)
    states = torch.cat((torch.eye(3).expand(n, 3, 3), so_far.unsqueeze(2)), 2)
    rewards = -0.3 * actions[..., 0]
    rewards[:, 2] = so_far[:, 2]
    ends = torch.tensor([False, False, True]).expand(n, 3)
    return Transitions.from_arrays(
        states.flatten(0, 1), actions.flatten(0, 1), rewards.flatten(), states.roll(-1, 1).flatten(0, 1), ends.flatten()
    )


@pytest.mark.parametrize(("gamma", "sign"), [(0.99, 1.0), (0.0, -1.0)])
def test_it_pays_now_for_what_comes_two_rounds_later(gamma: float, sign: float) -> None:
    learner = TD3BC(patient(), QUICK.model_copy(update={"gamma": gamma, "bound": 1.0}))
    list(learner.learn(500, every=500))
    first = learner.act(torch.tensor([[1.0, 0, 0, 0]]))
    second = learner.act(torch.tensor([[0, 1.0, 0, float(first)]]))
    assert sign * float(first) > 0.7
    assert sign * float(second) > 0.7
