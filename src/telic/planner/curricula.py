"""The two curricula, each a sequence of stages that end in planners: by dialogue acts, and by utterances.

By acts, the planner chooses among written dialogue acts and tries them out; it learns when to play which. By
utterances, it learns from what the baseline model happened to say well, together with the up-mapping. Where the
baseline hardly ever does well, there is little to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from telic.planner.act_cloning import clone_acts
from telic.planner.buffer import Transitions
from telic.planner.context import COLLECTIONS, TrainingContext
from telic.planner.control import PlannerControl
from telic.planner.dialogue_acts import DISTILLATION, DialogueActSet, distil_acts
from telic.planner.experience import Experience
from telic.planner.phases import SUBSAMPLE
from telic.planner.planner import Planner
from telic.planner.policy import ConstantPolicy
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.planner.upmapping import ActMapping

__all__ = ["BASELINE_ACT", "SELF_CLONE", "CurriculumResult", "run_act_curriculum", "run_utterance_curriculum"]

NATURAL, SELF_CLONE, CONSTANT, GREEDY, TD3 = "natural", "self-clone", "constant", "greedy", "td3bc"
ACTS = "acts"
BASELINE_ACT = "go on as usual"
"""The act of saying what the baseline model would say."""


@dataclass(frozen=True)
class CurriculumResult:
    """The planners that a curriculum trained."""

    stages: dict[str, Planner]
    """The planner of each stage by name, in order; the self-clone is the first."""
    constant: Planner | None = None
    """The best planner that plays the same action in every state, as a rival."""
    acts: DialogueActSet | None = None
    """The acts that the planners choose among."""


def run_act_curriculum(context: TrainingContext, acts: DialogueActSet) -> CurriculumResult:
    """Try out dialogue acts, clone those that paid off, and improve on the clone by TD3+BC."""
    config, model = context.config, context.model
    natural = context.collect(NATURAL, context.baseline_control, max(2, config.episodes // SUBSAMPLE))
    constant: dict[str, Any] = {"reads": "nothing", "tokens": config.prefix_tokens, "action_size": 1}
    untrained = Planner.new(model, seed=config.seed, **constant)
    self_clone = context.clone_utterances(SELF_CLONE, untrained, natural.examples[::SUBSAMPLE], soft=True)
    basis = _distil_basis(context, acts, self_clone)
    stages, collected = {SELF_CLONE: self_clone}, list[Transitions]()
    latest = Planner.new(model, acts=basis, remembers=True, seed=config.seed)
    for number in range(1, config.rounds_of_cloning + 1):
        # First all acts uniformly, then those that were worth it, to see the states that these lead to.
        explorer = PlannerControl(planner=latest, epsilon=1.0 if number == 1 else 0.0)
        found = context.collect(f"explored-{number}", explorer, config.episodes, collection=number)
        collected.append(found.transitions)
        latest = stages[f"advantage-{number}"] = _clone_acts(context, f"advantage-{number}", basis, collected)
    latest = stages[GREEDY] = latest.playing("largest")
    if config.rl_steps:
        stages[TD3] = _reinforce(context, latest, collected)
    return CurriculumResult(stages, _best_act(context, basis, collected) if config.baselines else None, acts)


def run_utterance_curriculum(context: TrainingContext) -> CurriculumResult:
    """Clone utterances that earned more than usual, and improve on the clone by TD3+BC."""
    config, model = context.config, context.model

    def new(reads: str = "state") -> Planner:
        sizes: dict[str, Any] = {"tokens": config.prefix_tokens, "action_size": config.action_size}
        return Planner.new(model, reads=reads, seed=config.seed, **sizes)

    natural = latest_data = context.collect(NATURAL, context.baseline_control, config.episodes)
    stages = {SELF_CLONE: context.clone_utterances(SELF_CLONE, new(), natural.examples[::SUBSAMPLE], soft=True)}
    latest = stages[SELF_CLONE]
    for number in range(1, config.rounds_of_cloning + 1):
        name = f"advantage-{number}"
        if number > 1:
            control, collection = PlannerControl(planner=latest), number - 1
            latest_data = context.collect(f"advantage-{collection}", control, config.episodes, collection=collection)
        latest = stages[name] = _clone_advantageous(context, name, new(), latest_data)
    if config.rl_steps:
        control = PlannerControl(planner=latest, sigma=config.sigma)
        explored = context.collect("explored", control, config.episodes, collection=COLLECTIONS - 1)
        stages[TD3] = _reinforce(context, latest, [explored.transitions])
    constant = _clone_advantageous(context, CONSTANT, new("nothing"), natural) if config.baselines else None
    return CurriculumResult(stages, constant)


def _clone_advantageous(context: TrainingContext, name: str, planner: Planner, data: Experience) -> Planner:
    """Clone the utterances that earned more than usual."""
    config = context.config
    examples, weights_N = data.advantage_weighted(config.gamma, config.beta, cut=config.cut_after_question)
    return context.clone_utterances(name, planner, examples, weights_N)


def _distil_basis(context: TrainingContext, acts: DialogueActSet, self_clone: Planner) -> dict[str, torch.Tensor]:
    """Distil the prefixes of the acts in dialogues where they are recited, and add the baseline act."""
    config = context.config

    def train() -> tuple[Planner, dict[str, float]]:
        losses: list[float] = []

        def ended(_: int, loss: float) -> None:
            losses.append(loss)
            context.tracker.advance()

        dialogues, deadline = (
            context.act_dialogues(acts, max(2, config.episodes // SUBSAMPLE)),
            context.begin_phase(ACTS),
        )
        found = distil_acts(
            context.model,
            acts,
            dialogues=dialogues,
            tokens=config.prefix_tokens,
            config=DISTILLATION.model_copy(update={"epochs": config.act_epochs, "seed": config.seed}),
            on_epoch=ended,
            deadline=deadline,
        )
        context.note_cut(ACTS, "epochs", len(losses), config.act_epochs)
        return Planner.new(context.model, acts=found), {"acts": len(found), "first": losses[0], "last": losses[-1]}

    mapping = context.load_or_train(ACTS, train).mapping
    assert isinstance(mapping, ActMapping)
    prefixes = dict(zip(mapping.names, mapping.prefixes, strict=True))
    with torch.no_grad():
        baseline_1_L_D = self_clone(torch.zeros(1, context.model.hidden_size))
    return prefixes | {BASELINE_ACT: baseline_1_L_D[0]}


def _clone_acts(
    context: TrainingContext, name: str, basis: dict[str, torch.Tensor], collected: Sequence[Transitions]
) -> Planner:
    """Clone the acts that paid off."""
    config = context.config
    options: dict[str, Any] = {"plays": "drawn", "remembers": True, "width": config.width, "seed": config.seed}
    planner = Planner.new(context.model, acts=basis, **options)

    def train() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(collected)
        losses = clone_acts(planner, data, gamma=config.gamma, beta=config.beta, seed=config.seed)
        return planner, {"transitions": len(data), "first": losses[0], "last": min(losses)}

    return context.load_or_train(name, train)


def _best_act(context: TrainingContext, basis: dict[str, torch.Tensor], collected: Sequence[Transitions]) -> Planner:
    """Make the planner that always plays the act with the highest mean reward of its turns."""
    planner = Planner.new(context.model, acts=basis, reads="nothing", seed=context.config.seed)

    def train() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(collected)
        played_N = data.actions.argmax(1)
        # Two turns without reward are added to each act: one lucky turn is no proof.
        count_A = 2 + torch.bincount(played_N, minlength=len(basis))
        earned_A = torch.zeros(len(basis)).index_add(0, played_N, data.rewards) / count_A
        assert isinstance(planner.policy.clone, ConstantPolicy)
        planner.policy.clone.action.data[earned_A.argmax()] = 1.0
        return planner, {"reward": float(earned_A.max())}

    return context.load_or_train(CONSTANT, train)


def _reinforce(context: TrainingContext, planner: Planner, collected: Sequence[Transitions]) -> Planner:
    """Train a residual network by TD3+BC on top of a planner."""
    config, shape = context.config, planner.shape

    def train() -> tuple[Planner, dict[str, float]]:
        data = Transitions.concat(collected).with_clone(planner.policy.clone)
        settings = TD3BCConfig(
            alpha=config.alpha, gamma=config.gamma, bound=config.bound, hidden=config.width,
            mixtures=shape.mapping == "acts", remembered=shape.remembered, seed=config.seed,
        )  # fmt: skip
        learner, metrics, deadline = TD3BC(data, settings), dict[str, float](), context.begin_phase(TD3)
        for metrics in learner.learn(config.rl_steps):
            context.run.append_metrics({"td3bc": metrics})
            context.tracker.reach(learner.step, config.rl_steps)
            if deadline.remaining <= 0:
                break
        context.note_cut(TD3, "steps", learner.step, config.rl_steps)
        return planner.with_residual(learner.actor, learner.standardise), metrics

    return context.load_or_train(TD3, train)
