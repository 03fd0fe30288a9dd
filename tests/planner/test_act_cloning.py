"""Which act pays off in which state: cloned from what was tried, and by TD3+BC over the acts' shares."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from telic.errors import ConfigError
from telic.planner.act_cloning import clone_acts
from telic.planner.buffer import Transitions
from telic.planner.control import PlannerControl
from telic.planner.planner import Planner
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.planner.upmapping import act_shares
from tests.models import tiny
from tests.models.tiny import SHORT, ask

ACTS = ("ask", "offer", "close")


def planner(**options: Any) -> Planner:
    model = tiny.local("llama")
    drawn = torch.randn(3, 2, model.hidden_size, generator=torch.Generator().manual_seed(5))
    return Planner.new(model, acts=dict(zip(ACTS, drawn, strict=True)), **options)


def tried(size: int, *, matters: bool, n: int = 900, seed: int = 0) -> Transitions:
    """Acts drawn alike. If the state matters, its first feature says which of the first two pays; else the second."""
    drawn = torch.Generator().manual_seed(seed)
    states_N_D = 3 + 20 * torch.randn(n, size, generator=drawn)
    played_N = torch.randint(3, (n,), generator=drawn)
    right_N = (states_N_D[:, 0] > 3).long() if matters else torch.ones(n, dtype=torch.long)
    rewards_N = (played_N == right_N).float()
    ends_N = torch.ones(n, dtype=torch.bool)
    return Transitions.from_arrays(states_N_D, torch.eye(3)[played_N], rewards_N, states_N_D, ends_N)


def test_the_act_that_pays_in_a_state_is_learnt() -> None:
    learner = planner(width=32)
    losses = clone_acts(learner, tried(learner.shape.hidden_size, matters=True, n=1800), beta=0.5)
    fresh = tried(learner.shape.hidden_size, matters=True, n=300, seed=1)
    with torch.no_grad():
        chosen_N = learner.policy(fresh.states).argmax(1)
    right_N = (fresh.states[:, 0] > 3).long()
    assert float((chosen_N == right_N).float().mean()) > 0.88
    assert min(losses) < 0.6 * losses[0]


def test_where_the_state_says_nothing_it_is_left_out() -> None:
    learner = planner(width=32)
    clone_acts(learner, tried(learner.shape.hidden_size, matters=False, n=240), beta=0.5)
    fresh = tried(learner.shape.hidden_size, matters=False, n=300, seed=1)
    with torch.no_grad():
        shares_N_A = act_shares(learner.policy(fresh.states))
    assert float(shares_N_A.mean(0)[1]) > 0.6
    assert float((shares_N_A.argmax(1) == 1).float().mean()) > 0.95


def test_td3bc_finds_the_act_and_not_a_mixture() -> None:
    data = tried(8, matters=True)
    config = TD3BCConfig(
        alpha=10, bound=1.0, mixtures=True, hidden=32, critic_hidden=32, actor_lr=1e-3, critic_lr=2e-3, batch=128
    )
    learner = TD3BC(data, config)
    for _ in learner.learn(800):
        pass
    fresh = tried(8, matters=True, n=300, seed=1)
    shares_N_A = act_shares(learner.act(fresh.states))
    right_N = (fresh.states[:, 0] > 3).long()
    assert float((shares_N_A.argmax(1) == right_N).float().mean()) > 0.85
    assert float(shares_N_A.amax(1).mean()) > 0.8


def test_an_act_is_drawn_by_its_share_or_tried_like_any_other() -> None:
    model, drawing = tiny.local("llama"), planner(plays="drawn")
    *_, weight, bias = drawing.policy.clone.parameters()
    weight.data.zero_()
    bias.data = torch.tensor([0.3, 0.3, -9.0])

    def played(**how: Any) -> Counter[str]:
        control = PlannerControl(planner=drawing, **how)
        requests = [ask(SHORT, controls=(control,), max_new_tokens=1, seed=seed) for seed in range(60)]
        return Counter(reply.chosen["act"] for reply in model.generate(requests))

    found = played()
    assert set(found) == {"ask", "offer"}
    assert min(found.values()) > 12
    assert set(played(epsilon=1.0)) == set(ACTS)
    assert played() == found, "the request's seed draws it"
    drawing = drawing.playing("largest")
    bias.data[1] = 0.31
    assert set(played()) == {"offer"}


def test_what_has_no_acts_is_refused() -> None:
    learned = Planner.new(tiny.local("llama"), action_size=4)
    with pytest.raises(ConfigError, match="mixtures of acts"):
        clone_acts(learned, tried(learned.shape.hidden_size, matters=True))
    with pytest.raises(ConfigError, match="the planner of"):
        clone_acts(planner(), tried(7, matters=True))
    with pytest.raises(ConfigError, match="explore with sigma"):
        PlannerControl(planner=learned, epsilon=0.5)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        PlannerControl(planner=planner(), epsilon=2)
    with pytest.raises(ConfigError, match="no acts to play"):
        Planner.new(tiny.local("llama"), action_size=4, plays="drawn")


def test_an_act_that_was_played_is_not_played_again_if_that_never_pays() -> None:
    """Any of the three acts pays when it is played for the first time; only memory can tell."""
    model = tiny.local("llama")
    learner = planner(width=16, remembers=True, plays="drawn")
    drawn = torch.Generator().manual_seed(0)
    n = 900
    played_N = torch.randint(3, (n,), generator=drawn)
    first_N = torch.arange(n) % 2 == 0  # dialogues of two turns
    counts_N_A = torch.where(first_N[:, None], 0, torch.eye(3)[played_N.roll(1)])
    states_N_D = torch.cat((torch.randn(n, model.hidden_size, generator=drawn), counts_N_A), dim=1)
    rewards_N = (counts_N_A[torch.arange(n), played_N] == 0).float()
    data = Transitions.from_arrays(states_N_D, torch.eye(3)[played_N], rewards_N, states_N_D.roll(-1, 0), ~first_N)
    clone_acts(learner, data, beta=0.5)
    assert float(dict(learner.policy.clone.named_parameters())["again"].detach()) < -0.1

    session, control = model.session(system="You are Mia."), PlannerControl(planner=learner.playing("largest"))
    acts = []
    for turn in range(3):
        acts.append(session.user(f"Turn {turn}.").reply(max_new_tokens=2, controls=[control]).chosen["act"])
    assert sorted(acts) == sorted(ACTS)


def test_the_chance_of_what_was_played_is_recorded() -> None:
    """How often an act is drawn agrees with the log-probability that its replies record."""
    model, drawing = tiny.local("llama"), planner(plays="drawn")
    *_, weight, bias = drawing.policy.clone.parameters()
    weight.data.zero_()
    bias.data = torch.tensor([0.3, 0.2, 0.0])
    shares = act_shares(bias.data[None])[0]

    def replies(steering: Planner, n: int = 1, **how: Any) -> list[dict[str, Any]]:
        control = PlannerControl(planner=steering, **how)
        asked = [ask(SHORT, controls=(control,), max_new_tokens=1, seed=seed) for seed in range(n)]
        return [dict(reply.chosen) for reply in model.generate(asked)]

    found = replies(drawing, 240, epsilon=0.3)
    counts = Counter(one["act"] for one in found)
    for one in found:
        chance = 0.1 + 0.7 * float(shares[ACTS.index(one["act"])])
        assert one["logprob"] == pytest.approx(torch.tensor(chance).log().item())
        assert abs(counts[one["act"]] / 240 - chance) < 0.12
    [largest] = replies(drawing.playing("largest"), epsilon=0.0)
    assert (largest["act"], largest["logprob"]) == ("ask", 0.0)
    [mixture] = replies(drawing.playing("mixture"))
    assert mixture["logprob"] == 0.0
    noisy = replies(drawing.playing("mixture"), 20, sigma=0.5)
    for one in noisy:
        away_A = (torch.tensor(one["action"]) - bias.data) / 0.5
        density = -0.5 * float((away_A**2).sum()) - 3 * math.log(0.5 * math.sqrt(2 * math.pi))
        assert one["logprob"] == pytest.approx(density, abs=1e-3)


def test_given_weights_decide_and_a_planner_can_go_on_from_its_own_network() -> None:
    learner = planner(width=16)
    data = tried(learner.shape.hidden_size, matters=False, n=300)
    played_N = data.actions.argmax(1)
    clone_acts(learner, data, weights=(played_N == 2).float(), epochs=3)
    with torch.no_grad():
        before = act_shares(learner.policy(data.states)).mean(0)
    assert float(before[2]) > 0.9
    losses = clone_acts(learner, data, weights=torch.ones(300), continues=True, epochs=0)
    assert len(losses) == 1
    with torch.no_grad():
        after = act_shares(learner.policy(data.states)).mean(0)
    assert after.tolist() == pytest.approx(torch.bincount(played_N).div(300).tolist(), abs=0.1)
