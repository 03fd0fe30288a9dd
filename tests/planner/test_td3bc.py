"""TD3+BC: against its equations and a plain loop; its seeds, its saves, its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.planner import Plain
from telic.errors import ConfigError, DataError
from telic.planner.buffer import Transitions
from telic.planner.networks import TwinCritics
from telic.planner.td3bc import TD3BC, TD3BCConfig

SMALL = TD3BCConfig(batch=32, hidden=16, critic_hidden=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_buffer(n: int = 90, *, clone: bool = True) -> Transitions:
    """Episodes of three rounds of noise."""
    drawn = seeded()
    states, actions = torch.randn(n, 6, generator=drawn) * 3 + 1, torch.randn(n, 2, generator=drawn) / 2
    rewards, weights = torch.randn(n, generator=drawn), torch.rand(n, generator=drawn)
    clones = torch.randn(n, 2, generator=drawn) if clone else None
    ends = torch.arange(n) % 3 == 2
    return Transitions.from_arrays(states, actions, rewards, states.roll(-1, 0), ends, clones=clones, weights=weights)


def values_of(critics: TwinCritics, member: int, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """One critic's values, written out."""
    hidden = torch.cat((states, actions), 1)
    for layer, (weight, bias) in enumerate(zip(critics.weights, critics.biases, strict=True)):
        hidden = hidden @ weight[member].T + bias[member]
        hidden = hidden * hidden.sigmoid() if layer < 2 else hidden
    return hidden[:, 0]


def weights_of(learner: TD3BC) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in learner.networks.state_dict().values()]


def all_equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# Against its equations.


@pytest.mark.parametrize("bound", [None, 0.3])
def test_losses_are_those_of_the_equations(bound: float | None) -> None:
    config = SMALL.model_copy(update={"bound": bound, "zero_start": False, "gamma": 0.9, "policy_every": 1})
    learner = TD3BC(noise_buffer().n_step(2, 0.9), config)
    with torch.no_grad():  # targets that differ from the networks
        for network in (learner.target_actor, learner.target_critics):
            for parameter in network.parameters():
                parameter.mul_(1.2)
    batch = learner.data.sample(32, seeded(1))
    noise = torch.randn(32, 2, generator=seeded(2)) * 3
    states, next_states = learner.standardise(batch.states), learner.standardise(batch.next_states)
    with torch.no_grad():
        added = learner.target_actor(next_states) + (0.2 * noise).clamp(-0.5, 0.5)
        added = added if bound is None else added.clamp(-bound, bound)
        both = [values_of(learner.target_critics, i, next_states, batch.next_clones + added) for i in (0, 1)]
        y = batch.rewards + 0.9**batch.steps * torch.minimum(*both) * ~batch.terminals
        values = [values_of(learner.critics, i, states, batch.actions) for i in (0, 1)]
        errors = [(batch.weights * (q - y) ** 2).mean() for q in values]
        policy = batch.clones + learner.actor(states)
    told = learner.update(batch, noise)
    torch.testing.assert_close(told["critic_loss"], errors[0] + errors[1])
    q = values_of(learner.critics, 0, states, policy)  # by the critics just updated
    bc = ((policy - batch.actions) ** 2).mean()
    torch.testing.assert_close(told["lambda"], 2.5 / q.abs().mean())
    torch.testing.assert_close(told["bc"], bc)
    torch.testing.assert_close(told["actor_loss"], -2.5 / q.abs().mean() * q.mean() + bc)
    torch.testing.assert_close(told["action_norm"], (policy - batch.clones).norm(dim=1).mean())


def test_updates_are_those_of_the_plain_loop() -> None:
    learner = TD3BC(noise_buffer(), TD3BCConfig(batch=32))
    plain, start, drawn = Plain(learner), weights_of(learner), seeded(1)
    for _ in range(9):
        batch, noise = learner.data.sample(32, drawn), torch.randn(32, 2, generator=drawn)
        learner.update(batch, noise)
        plain.update(batch, noise)
    assert plain.difference(learner) < 1e-5
    assert max(float((a - b).abs().max()) for a, b in zip(start, weights_of(learner), strict=True)) > 1e-3


def test_the_policy_and_the_targets_wait_for_their_turn() -> None:
    learner = TD3BC(noise_buffer(), SMALL.model_copy(update={"policy_every": 3, "tau": 0.25}))
    start, critic = weights_of(learner), learner.target_critics.weights[0].clone()
    told = [set(learner.update(learner.data.sample(32, seeded(n)))) for n in range(2)]
    assert told == [{"critic_loss", "q", "target"}] * 2
    actor = dict(zip(learner.networks.state_dict(), start, strict=True))["actor.layers.4.weight"]
    assert torch.equal(learner.actor.layers[4].weight, actor)  # type: ignore[arg-type]
    assert torch.equal(learner.target_critics.weights[0], critic)
    assert "bc" in learner.update(learner.data.sample(32, seeded(2)))
    assert not torch.equal(learner.actor.layers[4].weight, actor)  # type: ignore[arg-type]
    torch.testing.assert_close(learner.target_critics.weights[0], 0.75 * critic + 0.25 * learner.critics.weights[0])


def test_a_transition_without_weight_says_nothing_to_the_critics() -> None:
    data, noise = noise_buffer(), torch.zeros(2, 2)
    batch = replace(data.batch(torch.tensor([0, 1])), weights=torch.tensor([1.0, 0.0]))
    spoilt = replace(batch, rewards=batch.rewards + torch.tensor([0.0, 100.0]))
    first, second = TD3BC(data, SMALL), TD3BC(data, SMALL)
    first.update(batch, noise)
    second.update(spoilt, noise)
    assert all_equal(weights_of(first), weights_of(second))
    second.update(replace(spoilt, weights=torch.ones(2)), noise)
    first.update(replace(batch, weights=torch.ones(2)), noise)
    assert not all_equal(weights_of(first), weights_of(second))


def test_a_batch_of_ends_asks_no_target_network() -> None:
    data = noise_buffer()
    learner = TD3BC(data, SMALL)
    batch = data.batch(torch.arange(2, 90, 3))
    poisoned = replace(batch, next_states=torch.full_like(batch.next_states, float("nan")))
    assert float(learner.update(poisoned)["target"]) == pytest.approx(float(batch.rewards.mean()))
    assert all(tensor.isfinite().all() for tensor in weights_of(learner))


def test_the_policy_starts_as_the_clone() -> None:
    data = noise_buffer()
    assert torch.equal(TD3BC(data, SMALL).act(data.states, data.clones), data.clones)
    free = TD3BC(data, SMALL.model_copy(update={"zero_start": False}))
    assert not torch.equal(free.act(data.states, data.clones), data.clones)


# What comes of a seed, and of a break.


def test_everything_follows_from_the_seed() -> None:
    def learn(seed: int) -> list[torch.Tensor]:
        learner = TD3BC(noise_buffer(), SMALL.model_copy(update={"seed": seed}))
        list(learner.learn(5))
        return weights_of(learner)

    torch.manual_seed(1)
    first, state = learn(0), torch.get_rng_state()
    torch.manual_seed(2)
    assert all_equal(first, learn(0))
    assert not all_equal(first, learn(1))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator was not touched


@pytest.mark.parametrize("first", [0, 1, 7])
def test_a_break_changes_nothing(tmp_path: Path, first: int) -> None:
    whole = TD3BC(noise_buffer(), SMALL)
    list(whole.learn(first))
    whole.save(tmp_path / "checkpoint")
    resumed = TD3BC.load(tmp_path / "checkpoint", noise_buffer())
    assert (resumed.step, resumed.config) == (first, SMALL)
    assert list(whole.learn(8, every=3)) == list(resumed.learn(8, every=3))
    assert all_equal(weights_of(whole), weights_of(resumed))
    assert {path.suffix for path in (tmp_path / "checkpoint").iterdir()} == {".json", ".safetensors"}


def test_a_save_replaces_an_earlier_one(tmp_path: Path) -> None:
    learner = TD3BC(noise_buffer(), SMALL)
    for _ in learner.learn(6, every=2):
        learner.save(tmp_path)
    assert TD3BC.load(tmp_path, noise_buffer()).step == 6


def test_a_save_is_refused_where_it_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"td3bc\.json"):
        TD3BC.load(tmp_path, noise_buffer())
    learner = TD3BC(noise_buffer(), SMALL)
    learner.save(tmp_path)
    with pytest.raises(ConfigError, match="another buffer"):
        TD3BC.load(tmp_path, noise_buffer(93))
    state = tmp_path / "td3bc.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        TD3BC.load(tmp_path, noise_buffer())


def test_curves_are_means_since_the_last_point() -> None:
    points = list(TD3BC(noise_buffer(), SMALL).learn(7, every=3))
    single = list(TD3BC(noise_buffer(), SMALL).learn(7, every=1))
    assert [point["step"] for point in points] == [3, 6, 7]
    assert points[0]["critic_loss"] == pytest.approx(sum(p["critic_loss"] for p in single[:3]) / 3)
    assert points[0]["bc"] == single[1]["bc"]  # the only step of the policy among them
    assert "bc" not in points[2]
    names = {"step", "critic_loss", "q", "target", "actor_loss", "policy_q", "bc", "action_norm", "lambda"}
    assert set(points[0]) == names


def test_a_wrong_number_of_steps_is_named() -> None:
    with pytest.raises(ConfigError, match="every is 0"):
        next(TD3BC(noise_buffer(), SMALL).learn(3, every=0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": -1}, "alpha is -1"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"policy_every": 0}, "policy_every is 0"),
        ({"bound": 0.0}, "bound is 0.0"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"actor_lr": float("nan")}, "actor_lr is nan"),
        ({"alfa": 1.0}, "unknown setting 'alfa'; did you mean 'alpha'"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TD3BCConfig.of(**wrong)
