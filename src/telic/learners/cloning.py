"""The trainings of `learn_planner`: cloning of acts or of utterances, weighted by advantage, and TD3+BC."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from telic.episodes import Episode, assistant_role
from telic.errors import DataError
from telic.formats import dialogue_before
from telic.learners.advantages import ActAdvantages, importance_weights, served_logprobs, usual_returns
from telic.learners.config import PlannerLearningConfig
from telic.learners.decisions import Decisions
from telic.models.local import LocalModel
from telic.planner.act_cloning import clone_acts
from telic.planner.buffer import Transitions
from telic.planner.cloning import CloneConfig, advantage_weights, clone_utterances
from telic.planner.gradient import UtteranceExample
from telic.planner.networks import Actor
from telic.planner.planner import Planner, new_clone_network
from telic.planner.policy import Policy
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.planner.upmapping import act_shares
from telic.purpose import Purpose

__all__ = ["clone_from_acts", "clone_from_utterances", "reinforce"]

MOST = 20.0
"""Maximum of an advantage weight."""


def clone_from_acts(
    served: Planner, decisions: Decisions, config: PlannerLearningConfig, epsilon: float
) -> tuple[Planner, dict[str, Any]]:
    """Clone the acts that were played, weighted by their advantage over what the served planner would play.

    A served planner with one network of its own continues from it. The network of one with a residual, or that reads
    nothing, is learnt anew: from what the served planner is likely to play. The shares of its acts count, also if it
    plays the largest of them only.

    Returns:
        A new planner, and figures.
    """
    data, shape = decisions.transitions, served.shape
    acts_N, returns_N = data.actions.argmax(1), data.return_to_go(config.gamma)
    before_N_K = data.states[:, shape.hidden_size :] if shape.remembers else torch.zeros(len(data), shape.action_size)
    with torch.no_grad():
        actions_N_K = served.policy(data.states)
    likely_N = served_logprobs(actions_N_K, acts_N, epsilon)
    importance_N = importance_weights(likely_N, decisions.logprobs, config.clip)
    found = ActAdvantages.estimate(
        returns_N, acts_N, before_N_K, act_shares(actions_N_K), decisions.rounds, decisions.versions
    )
    advantages_N = found.values.gather(1, acts_N[:, None]).squeeze(1)
    weights_N = importance_N * _weights(advantages_N, found.noise, config)
    if not weights_N.any():
        raise DataError("no act earned more than the served planner's acts usually do, so there is nothing to clone")
    weights_N = weights_N / weights_N.mean()
    continues = served.policy.residual is None and isinstance(served.policy.clone, Actor)
    planner = _without_residual(served) if continues else _new_of(served, config)
    losses = clone_acts(planner, data, weights=weights_N, continues=continues, seed=config.seed)
    size = float(importance_N.sum() ** 2 / importance_N.square().sum())
    with torch.no_grad():
        after_N_K = act_shares(planner.policy(data.states))
    named = zip(shape.acts, act_shares(actions_N_K).mean(0).tolist(), after_N_K.mean(0).tolist(),
                found.values.mean(0).tolist(), strict=True)  # fmt: skip
    figures = {
        "decisions": len(data),
        "effective_decisions": round(size, 1),
        "return": round(float(returns_N.mean()), 4),
        "noise": round(found.noise, 4),
        "strength": found.strength,
        "first_loss": losses[0],
        "last_loss": min(losses),
        "acts": {
            name: {"share_before": round(old, 4), "share_after": round(new, 4), "advantage": round(advantage, 4)}
            for name, old, new, advantage in named
        },
    }
    return planner, figures


def clone_from_utterances(
    model: LocalModel,
    purpose: Purpose,
    served: Planner | None,
    episodes: Sequence[Episode],
    config: PlannerLearningConfig,
    state: Path,
) -> tuple[Planner, dict[str, Any]]:
    """Clone the replies that earned more than is usual in their turn, through the frozen model's gradient.

    Returns:
        A new planner, and figures.
    """
    examples: list[UtteranceExample] = []
    returns: list[float] = []
    rounds: list[int] = []
    for episode in episodes:
        for number, (example, earned) in enumerate(_replies(episode, purpose)):
            examples.append(example)
            returns.append(earned)
            rounds.append(number)
    returns_N = torch.tensor(returns)
    advantages_N = returns_N - usual_returns(returns_N, torch.tensor(rounds))
    kept = (advantages_N > 0).nonzero().flatten().tolist()
    if not kept:
        raise DataError("no reply earned more than is usual in its turn, so there is nothing to clone")
    weights_N = (
        torch.ones(len(returns_N))
        if config.weighting == "filtered"
        else advantage_weights(advantages_N, baseline=0.0, beta=config.beta, most=MOST)
    )
    planner = Planner.new(model, width=config.width, seed=config.seed) if served is None else _without_residual(served)
    settings = CloneConfig(epochs=config.clone_epochs, lr=config.clone_lr, seed=config.seed)
    chosen = [examples[number] for number in kept]
    result = clone_utterances(planner, model, chosen, weights_N[kept], settings, folder=state)
    return planner, {
        "replies": len(examples), "cloned": result.examples, "first_loss": result.losses[0],
        "last_loss": result.losses[-1], "return": round(float(returns_N.mean()), 4),
    }  # fmt: skip


def reinforce(planner: Planner, decisions: Decisions, config: PlannerLearningConfig) -> tuple[Planner, dict[str, Any]]:
    """Train a residual network by TD3+BC on top of a planner, from logged states and actions."""
    shape = planner.shape
    data: Transitions = decisions.transitions.with_clone(planner.policy.clone)
    settings = TD3BCConfig(
        alpha=config.alpha, gamma=config.gamma, bound=config.bound, hidden=config.width, seed=config.seed,
        mixtures=shape.mapping == "acts", remembered=shape.remembered,
    )  # fmt: skip
    learner = TD3BC(data, settings)
    *_, metrics = learner.learn(config.rl_steps)
    return planner.with_residual(learner.actor, learner.standardise), {"td3bc": metrics}


def _weights(advantages_N: torch.Tensor, noise: float, config: PlannerLearningConfig) -> torch.Tensor:
    if config.weighting == "filtered":
        return (advantages_N > 0).float()
    return (advantages_N / max(config.beta * noise, 1e-8)).exp().clamp_max(MOST)


def _without_residual(served: Planner) -> Planner:
    """Copy a planner, without a residual network."""
    clone = deepcopy(served)
    return Planner(
        replace(served.shape, residual=None, bound=None), Policy(clone.policy.clone), clone.mapping, served.origin
    )


def _new_of(served: Planner, config: PlannerLearningConfig) -> Planner:
    """Make a planner with the acts of the served one and a new network."""
    shape = replace(served.shape, residual=None, bound=None, reads="state", width=config.width)
    drawn = torch.Generator().manual_seed(config.seed)
    return Planner(shape, Policy(new_clone_network(shape, drawn)), deepcopy(served.mapping), served.origin)


def _replies(episode: Episode, purpose: Purpose) -> list[tuple[UtteranceExample, float]]:
    """Return the replies of a conversation with the dialogue before each, and what each earned."""
    role = assistant_role(episode)
    found = []
    for index, turn in enumerate(episode.turns):
        if turn.role != role or turn.return_to_go is None or not turn.text.strip() or not turn.is_prose or not index:
            continue
        dialogue = dialogue_before(episode, index)
        if not dialogue.system and purpose.system_prompt:
            dialogue = dialogue.with_system(purpose.system_prompt)
        found.append((UtteranceExample(tuple(dialogue), turn.text, ends=turn.finish == "stop"), turn.return_to_go))
    return found
