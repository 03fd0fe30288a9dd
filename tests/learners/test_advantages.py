"""Advantages of acts from few and noisy rewards, and importance weights."""

from __future__ import annotations

import math

import pytest
import torch

from telic.learners.advantages import ActAdvantages, importance_weights, served_logprobs, usual_returns

K = 4


def estimate(returns_N: torch.Tensor, acts_N: torch.Tensor, before_N_K: torch.Tensor | None = None,
             versions: list[str] | None = None) -> ActAdvantages:  # fmt: skip
    n = len(returns_N)
    before = torch.zeros(n, K) if before_N_K is None else before_N_K
    rounds = torch.arange(n) % 3
    return ActAdvantages.estimate(returns_N, acts_N, before, torch.full((n, K), 1 / K), rounds, versions or ["v"] * n)


def drawn(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(K, (n,), generator=generator), torch.randn(n, generator=generator)


def test_the_better_act_has_the_larger_advantage() -> None:
    acts_N, noise_N = drawn(600)
    found = estimate((acts_N == 2).float() + noise_N, acts_N)
    mean_K = found.values.mean(0)
    assert int(mean_K.argmax()) == 2
    assert float(mean_K[2]) == pytest.approx(0.75, abs=0.2)
    assert found.noise == pytest.approx(1.0, abs=0.1)
    assert found.values.mean(1).abs().max() < 1e-5, "they are relative to the served planner"


def test_noise_alone_is_shrunk_away() -> None:
    largest = []
    for seed in range(10):
        acts_N, noise_N = drawn(90, seed)
        largest.append(float(estimate(noise_N, acts_N).values.abs().max()))
    assert sorted(largest)[5] < 0.2


def test_an_act_that_pays_once_loses_where_it_was_played_before() -> None:
    acts_N, noise_N = drawn(900)
    before_N_K = torch.randint(2, (900, K), generator=torch.Generator().manual_seed(1)).float()
    fresh_N = 1 - before_N_K.gather(1, acts_N[:, None]).squeeze(1)
    values_N_K = estimate(fresh_N + 0.3 * noise_N, acts_N, before_N_K).values
    assert float(values_N_K[before_N_K == 0].mean()) > 0.3
    assert float(values_N_K[before_N_K == 1].mean()) < -0.3


def test_an_act_does_not_look_good_because_a_better_version_plays_it() -> None:
    """Version b earns more with every act, and mostly plays act 0, which is the worse one."""
    acts_a, noise_a = drawn(400)
    acts_b = torch.where(torch.rand(400, generator=torch.Generator().manual_seed(2)) < 0.8, 0, acts_a)
    acts_N = torch.cat((acts_a, acts_b))
    returns_N = torch.cat((noise_a, 3 + noise_a)) * 0.5 - 0.5 * (acts_N == 0)
    values_N_K = estimate(returns_N, acts_N, versions=["a"] * 400 + ["b"] * 400).values
    assert int(values_N_K.mean(0).argmin()) == 0


def test_importance_weights_are_clipped_and_1_where_nothing_was_logged() -> None:
    served, logged = torch.tensor([0.8, 0.1, 0.5]).log(), torch.tensor([0.1, 0.2, math.nan]).log()
    assert importance_weights(served, logged, 5.0).tolist() == pytest.approx([5.0, 0.5, 1.0])


def test_the_served_planner_explores() -> None:
    actions, acts = torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1])
    assert served_logprobs(actions, acts, 0.1).exp().tolist() == pytest.approx([0.95, 0.05])


def test_usual_returns_are_those_of_the_round() -> None:
    found = usual_returns(torch.tensor([1.0, 4.0, 3.0, 8.0]), torch.tensor([0, 1, 0, 1]))
    assert found.tolist() == [2.0, 6.0, 2.0, 6.0]
