"""`train`: train a planner for the game of a purpose, and evaluate it on held-out scenarios.

Each stage writes into the run's folder, and a resumed run does not repeat it. The stages of a curriculum
(`telic.planner.curricula`) play and learn. The stage that is best on validation episodes then plays the held-out part,
beside its rivals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.episodes import BASELINE, Episode
from telic.errors import ConfigError
from telic.games.base import build_game
from telic.models import Control, Model
from telic.models.local import LocalModel
from telic.planner.config import PROMPTS, PlannerTrainingConfig, game_of
from telic.planner.context import Stage, TrainingContext, TrainingPlayers
from telic.planner.control import PlannerControl
from telic.planner.curricula import SELF_CLONE, CurriculumResult, run_act_curriculum, run_utterance_curriculum
from telic.planner.dialogue_acts import DialogueActSet, acts_for, load_acts
from telic.planner.evaluation import PlannerArmResult, evaluate_planner_arms, returns_by_task
from telic.planner.phases import training_phases
from telic.planner.planner import Planner
from telic.planner.saving import save_planner
from telic.planner.shortening import set_aside_after_cut
from telic.progress import Deadline, ProgressCallback, Shortfall, forecast_sentence, track
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.statistics import mean
from telic.steering.prompt import Prompt

__all__ = ["Stage", "TrainRun", "train"]


@dataclass(frozen=True)
class TrainRun:
    """A trained planner and its evaluation."""

    planner: Planner
    """The planner of the chosen stage."""
    stage: str
    """Name of the chosen stage."""
    path: Path
    """Folder of the saved planner."""
    validation: dict[str, float]
    """Mean return of each stage on the validation episodes."""
    arms: list[PlannerArmResult]
    """Results of the baseline, the planner and its rivals on held-out scenarios."""
    folder: Path
    """The run folder."""
    shortfall: Shortfall | None = None
    """What a time limit cut short; None if nothing was."""

    @property
    def better(self) -> bool:
        """Whether it is significantly better than the baseline: the 95 % interval of its gain is above zero."""
        gain = self._arm.gain
        return gain is not None and gain.low is not None and gain.low > 0

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        base, own = self.arms[0], self._arm
        verdict = "significantly better than" if self.better else "not significantly better than"
        return (
            f"The planner ({self.stage}) returns {own.returns} an episode, {verdict} the baseline's "
            f"{base.returns}; gain {own.gain}, n = {own.returns.n}."
        )

    @property
    def _arm(self) -> PlannerArmResult:
        return next(arm for arm in self.arms if arm.name == "planner")


def train(
    model: Model,
    purpose: Purpose,
    *,
    folder: str | Path = "runs",
    resume: str | Path | None = None,
    on_stage: Callable[[Stage], None] | None = None,
    progress: bool | ProgressCallback = False,
    config: PlannerTrainingConfig | None = None,
    players: TrainingPlayers | None = None,
    **settings: Any,
) -> TrainRun:
    """Train a planner of dialogue action tokens (arXiv 2406.11978) for a purpose's game, and evaluate it.

    Args:
        model: a local model, which stays frozen.
        purpose: a purpose with a game. Its controls act, its planner does not.
        folder: where the run folder is made.
        resume: the folder of a run to continue.
        on_stage: called with every completed stage.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every step.
        config: settings.
        players: makes the players of a game that needs its own, such as `issue`
            (`telic.assistants.pairing.AskingPlayers`).
        **settings: single fields of `PlannerTrainingConfig`, which override those of `config`.

    Raises:
        ConfigError: the purpose has no game, the game needs players of its own, the model is not a local one, the acts
            cannot be read, or the run to be resumed had other settings.
        DataError: no utterance earned more than usual, so there is nothing to learn.
    """
    config = PlannerTrainingConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    if not isinstance(model, LocalModel):
        raise ConfigError(
            f"model {model.name!r}: training needs its gradient, which only Telic's own engine gives; expected a local "
            "model (the same weights on vLLM can then use the planner)"
        )
    game = build_game(game_of(purpose))
    if players is None and game.needs_players:
        raise ConfigError(
            f"a model alone cannot play the game {game.name!r}: {game.needs_players}; pass `players`, or use "
            "the command telic train"
        )
    if game.scenarios is not None:  # a scenario played twice is no second observation
        config = config.model_copy(update={"held_out": min(config.held_out, _held_out_scenarios(purpose))})
    acts = load_acts(config.acts or acts_for(game)) if config.mapping == "acts" else None
    run = _open_run(folder, resume, model, purpose, config, acts, players)
    with run, track(progress) as tracker:
        set_aside_after_cut(run)
        deadline, phases = Deadline(config.minutes), training_phases(config, _arms(config, game_of(purpose)["name"]))

        def forecast(seconds: float) -> str:
            return forecast_sentence(
                seconds, config.episodes, "episodes in each collection, and the rest of the training"
            )

        tracker.start(run.path, run.warnings, phases, forecast, deadline)
        context = TrainingContext(model, purpose, config, run, on_stage, tracker, deadline, players)
        result = run_utterance_curriculum(context) if acts is None else run_act_curriculum(context, acts)
        return _evaluate(context, result)


def _open_run(
    folder: str | Path,
    resume: str | Path | None,
    model: Model,
    purpose: Purpose,
    config: PlannerTrainingConfig,
    acts: DialogueActSet | None,
    players: TrainingPlayers | None,
) -> RunFolder:
    """Create a run folder, or resume one of the same training."""
    described = {
        "model": model.name,
        "purpose": purpose.model_dump(mode="json", exclude_none=True, exclude={"planner"}),
        "train": config.model_dump(mode="json", exclude={"concurrency", "minutes"}, exclude_none=True),
    }
    if acts is not None:  # their file may change before the run is resumed
        described["acts"] = {act.name: list(act.says) for act in acts.acts}
    if players is not None:
        described["players"] = players.spec()
    if resume is not None:
        return RunFolder.resume(resume, described)
    return RunFolder.create(folder, "train", purpose.name, described, {"concurrency": config.concurrency})


def _held_out_scenarios(purpose: Purpose) -> int:
    """Count the scenarios of the held-out part of a game that has a limited number of them."""
    spec = game_of(purpose)
    game = build_game({"split": "test", **spec} if build_game(spec).has_held_out else spec)
    return game.scenarios or 1


def _evaluate(context: TrainingContext, result: CurriculumResult) -> TrainRun:
    """Choose the best stage on validation episodes, evaluate it on the held-out part, and save it."""
    config, played = context.config, dict[str, list[Episode]]()
    for stage, planner in result.stages.items():
        name = f"validation-{stage}"
        player = context.player([PlannerControl(planner=planner)], name)
        played[stage] = context.play(name, "validation", player, config.validation)
    validation = {
        stage: mean(returns_by_task(episodes).values()) or 0.0 for stage, episodes in _same_tasks(played).items()
    }
    chosen = max((stage for stage in result.stages if stage != SELF_CLONE), key=lambda stage: validation[stage])
    arms = _evaluate_held_out(context, result, result.stages[chosen])
    path = context.folder / "planner"
    figures = {arm.name: str(arm.returns) for arm in arms}
    note = f"Trained on the game `{context.game['name']}`; returns of {config.held_out} held-out episodes:"
    save_planner(result.stages[chosen], path, model=context.model, figures=figures, note=note)
    shortfall = Shortfall(config.minutes, context.cut) if config.minutes and context.cut else None
    run = TrainRun(result.stages[chosen], chosen, path, validation, arms, context.folder, shortfall)
    judged = [arm.model_dump(mode="json") for arm in arms]
    context.run.append_metrics(
        {
            "headline": run.headline,
            "shortfall": shortfall.as_dict() if shortfall else None,
            "chosen": chosen,
            "validation": validation,
            "judged": judged,
        }
    )
    return run


def _same_tasks(played: Mapping[str, list[Episode]]) -> dict[str, list[Episode]]:
    """Select the episodes of the tasks that all have played: time may have been short for some."""
    common = set.intersection(*({int(one.metadata["task"]) for one in episodes} for episodes in played.values()))
    return {name: [one for one in episodes if int(one.metadata["task"]) in common] for name, episodes in played.items()}


def _arms(config: PlannerTrainingConfig, game: str) -> list[str]:
    """Name the arms that play the held-out part, as far as they are known beforehand."""
    names = [BASELINE, "planner"]
    if config.baselines:
        names += ["self-clone", "constant-prefix"]
        names += ["prompt", "planner-and-prompt"] if config.prompt or PROMPTS.get(game) else []
        names += ["acts-recited"] if config.mapping == "acts" else []
    return names


def _evaluate_held_out(context: TrainingContext, result: CurriculumResult, planner: Planner) -> list[PlannerArmResult]:
    """Play the held-out part with the baseline, the planner and its rivals, and evaluate them."""
    start, config = time.monotonic(), context.config
    control = PlannerControl(planner=planner)
    arms: dict[str, list[Control]] = {BASELINE: [context.baseline_control], "planner": [control]}
    if config.baselines:
        arms["self-clone"] = [PlannerControl(planner=result.stages[SELF_CLONE])]
        if result.constant is not None:
            arms["constant prefix"] = [PlannerControl(planner=result.constant)]
        if text := config.prompt or PROMPTS.get(context.game["name"]):
            arms["prompt"] = [Prompt(text=text)]
            arms["planner and prompt"] = [Prompt(text=text), control]
    players: dict[str, Player] = {name: context.player(controls, name) for name, controls in arms.items()}
    if config.baselines and result.acts is not None:  # the return of the written lines alone, and their perplexity
        players["acts recited"] = context.act_player(result.acts)
    episodes = {
        name: context.play(f"held-out-{name.replace(' ', '-')}", "held-out", player, config.held_out)
        for name, player in players.items()
    }
    played = {
        name: (player if isinstance(player, ModelPlayer) else context.player([], name), same)
        for (name, player), same in zip(players.items(), _same_tasks(episodes).values(), strict=True)
    }
    context.begin_phase("judgement")
    spec = context.game_spec("held-out")
    results = evaluate_planner_arms(context.model, played, spec, resamples=config.resamples, seed=config.seed)
    context.tracker.advance(len(results))
    context.finish_stage("judgement", start, {"arms": len(results)})
    return results
