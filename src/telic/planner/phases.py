"""The phases of a training, with what is known beforehand of their lengths."""

from __future__ import annotations

from collections.abc import Sequence

from telic.planner.config import PlannerTrainingConfig
from telic.progress import Phase

__all__ = ["training_phases"]

# Times relative to an episode of a collection, as measured with the bundled model on two cores.
ACTS_EPOCH, CLONED_EPISODE, TD3_STEP, ARM = 60.0, 3.0, 0.03, 10.0
EVALUATED = 0.5
"""An episode of the validation or the held-out part: the batch stays full for longer."""
SUBSAMPLE = 4
"""Factor by which the self-clone and the recital of acts use fewer episodes and utterances than the training."""


def training_phases(config: PlannerTrainingConfig, arms: Sequence[str]) -> list[Phase]:
    """List the phases of a training in their order, under the names of its stages and collections.

    Args:
        config: settings.
        arms: names of the arms that play the held-out part.
    """
    epochs, fewer, by_acts = config.clone_epochs, max(2, config.episodes // SUBSAMPLE), config.mapping == "acts"
    rounds = range(1, config.rounds_of_cloning + 1)
    clone = CLONED_EPISODE * config.episodes
    natural = fewer if by_acts else config.episodes
    phases = [
        Phase("natural", "episodes", natural),
        Phase("self-clone", "epochs", epochs, CLONED_EPISODE * natural / SUBSAMPLE),
    ]
    if by_acts:
        phases += [Phase("rehearsal", "episodes", fewer), Phase("acts", "epochs", config.act_epochs, ACTS_EPOCH)]
        phases += [Phase(f"explored-{number}", "episodes", config.episodes) for number in rounds]
    else:
        for number in rounds:
            if number > 1:
                phases.append(Phase(f"advantage-{number - 1}-episodes", "episodes", config.episodes))
            phases.append(Phase(f"advantage-{number}", "epochs", epochs, clone))
    stages = ["self-clone", *(f"advantage-{number}" for number in rounds), *(["greedy"] if by_acts else [])]
    if config.rl_steps:
        if not by_acts:
            phases.append(Phase("explored", "episodes", config.episodes))
        phases.append(Phase("td3bc", "steps", config.rl_steps, TD3_STEP))
        stages.append("td3bc")
    if config.baselines and not by_acts:
        phases.append(Phase("constant", "epochs", epochs, clone))
    phases += [Phase(f"validation-{stage}", "episodes", config.validation, EVALUATED) for stage in stages]
    phases += [Phase(f"held-out-{arm}", "episodes", config.held_out, EVALUATED) for arm in arms]
    return [*phases, Phase("judgement", "arms", len(arms), ARM)]
