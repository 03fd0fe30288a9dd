"""Evaluating the arms of a comparison: which strength of a control to take, and which control is best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from telic.comparison.arms import Arm, compare, of_arm
from telic.comparison.config import ComparisonConfig
from telic.comparison.costs import Costs
from telic.comparison.results import ArmDifference, ArmResult, TuningTrial
from telic.comparison.stages import BANK, HELD_OUT, TUNING
from telic.episodes import BASELINE, Episode
from telic.stability.analysis import analyse_stability
from telic.stability.demands import demands_of, with_demand
from telic.stability.followed import probe_starts, without_never_followed
from telic.stability.utterances import analyse_utterances, followed_by_id
from telic.statistics import holm

__all__ = ["evaluate_arms", "evaluate_trials", "find_winner", "tuned_arms"]


def tuned_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Select the arms that play tuning dialogues: the baseline, and the controls that have several strengths."""
    count = Counter(arm.controls[0].name for arm in arms[1:])
    return [arms[0], *(arm for arm in arms[1:] if count[arm.controls[0].name] > 1)]


def evaluate_trials(
    episodes: Sequence[Episode], arms: Sequence[Arm], costs: Costs, config: ComparisonConfig
) -> list[TuningTrial]:
    """Evaluate every strength on the tuning part, and choose the most stable affordable one of each control.

    Args:
        episodes: those of the run so far.
        arms: the baseline, then every control at every strength.
        costs: the costs so far; measures the missing ones.
        config: settings.
    """
    tuned = tuned_arms(arms)
    trials = []
    for arm in arms[1:]:
        control = arm.controls[0]
        cost, recall = costs.of(arm, tuning=True), costs.recall(arm, tuning=True)
        area = analyse_stability(of_arm(episodes, TUNING, arm), resamples=100).area.value if arm in tuned else None
        gain = ArmDifference.of(compare(episodes, TUNING, arm, arms[0], resamples=config.resamples))
        # A model that gives no likelihoods cannot be asked what a control costs it; the report says so.
        affordable = all(found.loss is None or found.loss <= config.budget for found in (cost, recall))
        trials.append(
            TuningTrial(
                name=arm.name, kind=control.name, spec=control.spec(), area=area, gain=gain, cost=cost,
                affordable=affordable, chosen=False, recall=recall,
            )
        )  # fmt: skip
    return _choose(trials, {arm.name for arm in tuned})


def _choose(trials: Sequence[TuningTrial], tuned: set[str]) -> list[TuningTrial]:
    best: dict[str, TuningTrial] = {}
    for trial in trials:
        rival = best.get(trial.kind)
        failed = trial.area is None and trial.name in tuned
        if trial.affordable and not failed and (rival is None or _area(trial) > _area(rival)):
            best[trial.kind] = trial
    return [trial.model_copy(update={"chosen": best.get(trial.kind) is trial}) for trial in trials]


def _area(trial: TuningTrial) -> float:
    return -1.0 if trial.area is None else trial.area


def evaluate_arms(
    episodes: Sequence[Episode], arms: Sequence[Arm], costs: Costs, config: ComparisonConfig
) -> tuple[list[ArmResult], dict[str, ArmDifference]]:
    """Evaluate the chosen controls on held-out dialogues.

    Args:
        episodes: those of the run so far.
        arms: the baseline, then the chosen controls.
        costs: the costs so far; measures the missing ones.
        config: settings.

    Returns:
        The baseline, then the controls from most to least stable; and the lead of the first over each other control.
    """
    ranked = _ranked(episodes, arms, config)
    versus = {
        other.name: ArmDifference.of(compare(episodes, HELD_OUT, ranked[0][0], other, resamples=config.resamples))
        for other, _ in ranked[1:]
    }
    everything = [(arms[0], None), *ranked]
    return [_evaluate(episodes, arm, arms[0], gain, costs, config) for arm, gain in everything], versus


def find_winner(episodes: Sequence[Episode], arms: Sequence[Arm], config: ComparisonConfig) -> Arm | None:
    """Find the control with the largest gain on held-out dialogues, if that is significant.

    Args:
        episodes: those of the run so far.
        arms: the baseline, then the chosen controls.
        config: settings.
    """
    ranked = _ranked(episodes, arms, config)
    return ranked[0][0] if ranked and ranked[0][1].significantly_positive else None


def _ranked(
    episodes: Sequence[Episode], arms: Sequence[Arm], config: ComparisonConfig
) -> list[tuple[Arm, ArmDifference]]:
    """Compute the gain of every control over the baseline on held-out dialogues; the largest comes first."""
    gains = [compare(episodes, HELD_OUT, arm, arms[0], resamples=config.resamples) for arm in arms[1:]]
    adjusted = holm([gain.p for gain in gains])
    found = [(arm, ArmDifference.of(gain, p)) for arm, gain, p in zip(arms[1:], gains, adjusted, strict=True)]
    return sorted(found, key=lambda one: -1.0 if one[1].value is None else one[1].value, reverse=True)


def _demand_gains(episodes: Sequence[Episode], arm: Arm, baseline: Arm, resamples: int) -> dict[str, ArmDifference]:
    """Compute the gain by what the instruction demands of a reply, on the stage whose dialogues are a bank's."""
    found = {stage: demands_of(of_arm(episodes, stage, arm)) for stage in (HELD_OUT, BANK)}
    stage = HELD_OUT if found[HELD_OUT] else BANK
    return {
        demand: ArmDifference.of(compare(with_demand(episodes, demand), stage, arm, baseline, resamples=resamples))
        for demand in found[stage]
    }


def _evaluate(
    episodes: Sequence[Episode],
    arm: Arm,
    baseline: Arm,
    gain: ArmDifference | None,
    costs: Costs,
    config: ComparisonConfig,
) -> ArmResult:
    control = arm.controls[0] if arm.controls else None  # None for the baseline
    held_out, general = of_arm(episodes, HELD_OUT, arm), of_arm(episodes, BANK, arm)
    spoken = analyse_utterances(held_out, resamples=config.resamples)
    bank_gain = spoken_gain = followed_gain = None
    starts = probe_starts(of_arm(episodes, HELD_OUT, baseline))
    if control and any(start.never for start in starts) and any(start.followed for start in starts):
        kept = without_never_followed(episodes, starts)
        followed_gain = ArmDifference.of(compare(kept, HELD_OUT, arm, baseline, resamples=config.resamples))
    if control and general:
        bank_gain = ArmDifference.of(compare(episodes, BANK, arm, baseline, resamples=config.resamples))
    if control and spoken is not None:
        paired = compare(episodes, HELD_OUT, arm, baseline, by=followed_by_id, resamples=config.resamples)
        spoken_gain = ArmDifference.of(paired) if paired.difference.n else None
    return ArmResult(
        name=arm.name,
        kind=control.name if control else BASELINE,
        spec=control.spec() if control else None,
        stability=analyse_stability(held_out, resamples=config.resamples),
        gain=gain,
        bank=analyse_stability(general, resamples=config.resamples) if general else None,
        bank_gain=bank_gain,
        demand_gains=_demand_gains(episodes, arm, baseline, config.resamples) if control else {},
        cost=costs.of(arm, tuning=False) if control else None,
        recall=costs.recall(arm, tuning=False) if control else None,
        spoken=spoken,
        spoken_gain=spoken_gain,
        followed_gain=followed_gain,
        language=costs.language(arm) if control else None,
    )
