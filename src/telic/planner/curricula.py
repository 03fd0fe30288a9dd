"""The two ways to a planner, each a list of stages: by dialogue acts, and by utterances.

By acts, the planner chooses among things that one can do by speaking, and tries them out: what it learns is when to do
what. By utterances, it learns from what the unsteered model happened to say well, and the up-mapping with it; where the
model hardly ever does well by itself, there is little to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from telic.planner.act_cloning import clone_acts
from telic.planner.actor import Constant
from telic.planner.buffer import Transitions
from telic.planner.context import SHIFTS, TrainingContext
from telic.planner.dialogue_acts import DISTILLING, ActSet, distil
from telic.planner.experience import Experience
from telic.planner.planner import Planner
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.planner.upmapping import Acts

__all__ = ["AS_USUAL", "SELF_CLONE", "Curriculum", "by_acts", "by_utterances"]

NATURAL, SELF_CLONE, CONSTANT, GREEDY, TD3 = "natural", "self-clone", "constant", "greedy", "td3bc"
AS_USUAL = "go on as usual"
"""The act of saying what the model says anyway."""
QUARTER = 4
"""The self-clone is a check, for which a quarter of the utterances will do."""


@dataclass(frozen=True)
class Curriculum:
    """What came of a training."""

    stages: dict[str, Planner]
    """By name, in order; the self-clone is the first."""
    constant: Planner | None = None
    """The best that is the same in every state."""
    acts: ActSet | None = None
    """What it chooses among."""


def by_acts(shop: TrainingContext, acts: ActSet) -> Curriculum:
    """Try out dialogue acts, clone those that paid off, and improve on that by TD3+BC."""
    config, model = shop.config, shop.model
    natural = shop.experience(NATURAL, shop.unsteered, max(2, config.episodes // QUARTER))
    one: dict[str, Any] = {"tokens": config.prefix_tokens, "action_size": 1, "seed": config.seed}
    self_clone = shop.clone(
        SELF_CLONE, Planner.new(model, reads="nothing", **one), natural.examples[::QUARTER], soft=True
    )
    basis = _basis(shop, acts, self_clone)
    stages, known = {SELF_CLONE: self_clone}, list[Transitions]()
    latest = Planner.new(model, acts=basis, remembers=True, seed=config.seed)
    for number in range(1, config.rounds_of_cloning + 1):
        # At first every act alike, then those that were found worth it, so that states are seen that they lead to.
        explorer = latest.control(epsilon=1.0 if number == 1 else 0.0)
        known.append(shop.experience(f"explored-{number}", explorer, config.episodes, shift=number).transitions)
        latest = stages[f"advantage-{number}"] = _choose(shop, f"advantage-{number}", basis, known)
    latest = stages[GREEDY] = latest.playing("largest")
    if config.rl_steps:
        stages[TD3] = _reinforce(shop, latest, known)
    return Curriculum(stages, _best_act(shop, basis, known) if config.baselines else None, acts)


def by_utterances(shop: TrainingContext) -> Curriculum:
    """Clone utterances that did better than usual, the up-mapping with them, and improve on that by TD3+BC."""
    config, model = shop.config, shop.model

    def new(reads: str = "state") -> Planner:
        sizes: dict[str, Any] = {"tokens": config.prefix_tokens, "action_size": config.action_size}
        return Planner.new(model, reads=reads, seed=config.seed, **sizes)

    natural = known = shop.experience(NATURAL, shop.unsteered, config.episodes)
    stages = {SELF_CLONE: shop.clone(SELF_CLONE, new(), natural.examples[::QUARTER], soft=True)}
    latest = stages[SELF_CLONE]
    for number in range(1, config.rounds_of_cloning + 1):
        name = f"advantage-{number}"
        if number > 1:
            known = shop.experience(f"advantage-{number - 1}", latest.control(), config.episodes, shift=number - 1)
        latest = stages[name] = _say_better(shop, name, new(), known)
    if config.rl_steps:
        explored = shop.experience("explored", latest.control(config.sigma), config.episodes, shift=SHIFTS - 1)
        stages[TD3] = _reinforce(shop, latest, [explored.transitions])
    return Curriculum(stages, _say_better(shop, CONSTANT, new("nothing"), natural) if config.baselines else None)


def _say_better(shop: TrainingContext, name: str, planner: Planner, known: Experience) -> Planner:
    """Clone the utterances that did better than usual."""
    config = shop.config
    return shop.clone(name, planner, *known.weighed(config.gamma, config.beta, cut=config.cut_after_question))


def _basis(shop: TrainingContext, acts: ActSet, self_clone: Planner) -> dict[str, torch.Tensor]:
    """The prefixes of all acts, distilled once in the dialogues that they lead to; to go on as usual is one of them."""
    config = shop.config

    def learn() -> tuple[Planner, dict[str, float]]:
        losses: list[float] = []
        found = distil(
            shop.model,
            acts,
            dialogues=shop.rehearsal(acts, max(2, config.episodes // QUARTER)),
            tokens=config.prefix_tokens,
            config=DISTILLING.model_copy(update={"epochs": config.act_epochs, "seed": config.seed}),
            on_epoch=lambda _, loss: losses.append(loss),
        )
        return Planner.new(shop.model, acts=found), {"acts": len(found), "first": losses[0], "last": losses[-1]}

    mapping = shop.once("acts", learn).mapping
    assert isinstance(mapping, Acts)
    found = dict(zip(mapping.names, mapping.prefixes, strict=True))
    with torch.no_grad():
        usual_1_L_D = self_clone(torch.zeros(1, shop.model.hidden_size))
    return found | {AS_USUAL: usual_1_L_D[0]}


def _choose(shop: TrainingContext, name: str, basis: dict[str, torch.Tensor], known: Sequence[Transitions]) -> Planner:
    """Clone the acts that paid off."""
    config = shop.config
    planner = Planner.new(shop.model, acts=basis, plays="drawn", remembers=True, width=config.width, seed=config.seed)

    def learn() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(known)
        losses = clone_acts(planner, data, gamma=config.gamma, beta=config.beta, seed=config.seed)
        return planner, {"transitions": len(data), "first": losses[0], "last": min(losses)}

    return shop.once(name, learn)


def _best_act(shop: TrainingContext, basis: dict[str, torch.Tensor], known: Sequence[Transitions]) -> Planner:
    """The act that earned most in the turns in which it was played, always."""
    planner = Planner.new(shop.model, acts=basis, reads="nothing", seed=shop.config.seed)

    def learn() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(known)
        played_N = data.actions.argmax(1)
        # Two turns of nothing beside each act's own: one lucky turn is no proof.
        count_A = 2 + torch.bincount(played_N, minlength=len(basis))
        earned_A = torch.zeros(len(basis)).index_add(0, played_N, data.rewards) / count_A
        assert isinstance(planner.policy.clone, Constant)
        planner.policy.clone.action.data[earned_A.argmax()] = 1.0
        return planner, {"reward": float(earned_A.max())}

    return shop.once(CONSTANT, learn)


def _reinforce(shop: TrainingContext, planner: Planner, known: Sequence[Transitions]) -> Planner:
    """Learn by TD3+BC what to add to what the planner does."""
    config, shape = shop.config, planner.shape

    def learn() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(known).with_clone(planner.policy.clone)
        how = TD3BCConfig(
            alpha=config.alpha, gamma=config.gamma, bound=config.bound, hidden=config.width,
            mixtures=shape.mapping == "acts", remembered=shape.remembered, seed=config.seed,
        )  # fmt: skip
        learner, told = TD3BC(data, how), dict[str, float]()
        for told in learner.learn(config.rl_steps):
            shop.run.metrics({"td3bc": told})
        return planner.with_residual(learner.actor, learner.standardise), told

    return shop.once(TD3, learn)
