"""`train`: from a purpose with a game to a planner that plays it better, judged on scenarios that it never saw.

Each stage writes into the run's folder and is not done again by a resumed run. The stages of a course (`courses`) play
and learn; then the best of them on validation episodes plays the held-out part, beside its rivals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.errors import ConfigError
from telic.games.base import build_game
from telic.models import Control, Model, Reply
from telic.models.local import LocalModel
from telic.planner.config import PROMPTS, TrainConfig
from telic.planner.context import Stage, TrainingContext
from telic.planner.curricula import SELF_CLONE, Curriculum, by_acts, by_utterances
from telic.planner.dialogue_acts import acts_for, load_acts
from telic.planner.evaluation import Judged, judge_arms, returns_by_task
from telic.planner.planner import Planner
from telic.planner.saving import save_pretrained
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.statistics import mean
from telic.steering.prompt import Prompt

__all__ = ["Stage", "TrainRun", "train"]


@dataclass(frozen=True)
class TrainRun:
    """A trained planner, and how it was judged."""

    planner: Planner
    stage: str
    """The stage that it is of."""
    path: Path
    """Where it is saved."""
    validation: dict[str, float]
    """Mean return of each stage on the validation episodes."""
    judged: list[Judged]
    """The unsteered model, the planner, and its rivals, on held-out scenarios."""
    folder: Path

    @property
    def better(self) -> bool:
        """Whether it plays better than the unsteered model beyond doubt."""
        gain = self._arm.gain
        return gain is not None and gain.low is not None and gain.low > 0

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        base, own = self.judged[0], self._arm
        verdict = "better than" if self.better else "not shown to be better than"
        return (
            f"The planner ({self.stage}) returns {own.returns} an episode, {verdict} the unsteered model's "
            f"{base.returns}; gain {own.gain}, n = {own.returns.n}."
        )

    @property
    def _arm(self) -> Judged:
        return next(arm for arm in self.judged if arm.name == "planner")


def train(
    model: Model,
    purpose: Purpose,
    *,
    folder: str | Path = "runs",
    resume: str | Path | None = None,
    on_start: Callable[[Path], None] | None = None,
    on_stage: Callable[[Stage], None] | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    config: TrainConfig | None = None,
    **settings: Any,
) -> TrainRun:
    """Train a planner of dialogue action tokens (arXiv 2406.11978) for a purpose's game, and judge it.

    Args:
        model: frozen; a local one.
        purpose: with a game. Its controls act as well, its planner does not.
        folder: where the run folder is made.
        resume: a run folder to go on with.
        on_start: is told the run folder.
        on_stage: is told of every stage as it ends.
        on_reply: hears of every reply.
        config: settings.
        **settings: single fields of `TrainConfig`, over those of `config`.

    Raises:
        ConfigError: the purpose has no game, the model is no local one, the acts cannot be read, or the run to be
            resumed was another one.
        DataError: nothing that was said earned more than is usual: there is nothing to learn from.
    """
    config = TrainConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    if not isinstance(model, LocalModel):
        raise ConfigError(f"model {model.name!r} does not run in this process, so that its gradient cannot be had")
    if purpose.game is None:
        raise ConfigError(
            f"purpose {purpose.name!r} has no game, which says what success is; add one, such as: [game] name = "
            '"elicitation"'
        )
    game = build_game(purpose.game)
    acts = load_acts(config.acts or acts_for(game)) if config.mapping == "acts" else None
    described = {
        "model": model.name,
        "purpose": purpose.model_dump(mode="json", exclude_none=True, exclude={"planner"}),
        "train": config.model_dump(mode="json", exclude={"concurrency"}, exclude_none=True),
    }
    if acts is not None:  # the file may change
        described["acts"] = {act.name: list(act.says) for act in acts.acts}
    if resume is not None:
        run = RunFolder.resume(resume, described)
    else:
        run = RunFolder.create(folder, "train", purpose.name, described, {"concurrency": config.concurrency})
    if on_start is not None:
        on_start(run.path)
    with run:
        shop = TrainingContext(model, purpose, config, run, on_stage, on_reply)
        return _chosen(shop, by_utterances(shop) if acts is None else by_acts(shop, acts))


def _chosen(shop: TrainingContext, course: Curriculum) -> TrainRun:
    """Choose among the stages, judge the choice, and save it."""
    config, validation = shop.config, dict[str, float]()
    for name, planner in course.stages.items():
        what = f"validation-{name}"
        episodes = shop.episodes(what, "validation", shop.player([planner.control()], what), config.validation)
        validation[name] = mean(returns_by_task(episodes).values()) or 0.0
    chosen = max((name for name in course.stages if name != SELF_CLONE), key=lambda name: validation[name])
    judged = _judge(shop, course, course.stages[chosen])
    path = shop.folder / "planner"
    figures = {arm.name: str(arm.returns) for arm in judged}
    note = f"Trained on the game `{shop.game['name']}`; returns of {config.held_out} held-out episodes:"
    save_pretrained(course.stages[chosen], path, model=shop.model, figures=figures, note=note)
    found = TrainRun(course.stages[chosen], chosen, path, validation, judged, shop.folder)
    arms = [arm.model_dump(mode="json") for arm in judged]
    verdict = {"headline": found.headline, "chosen": chosen, "validation": validation, "judged": arms}
    shop.run.metrics(verdict)
    return found


def _judge(shop: TrainingContext, course: Curriculum, planner: Planner) -> list[Judged]:
    begun, config = time.monotonic(), shop.config
    arms: dict[str, list[Control]] = {"unsteered": [shop.unsteered], "planner": [planner.control()]}
    if config.baselines:
        arms["self-clone"] = [course.stages[SELF_CLONE].control()]
        if course.constant is not None:
            arms["constant prefix"] = [course.constant.control()]
        if text := config.prompt or PROMPTS.get(shop.game["name"]):
            arms["prompt"] = [Prompt(text=text)]
            arms["planner and prompt"] = [Prompt(text=text), planner.control()]
    players: dict[str, Player] = {name: shop.player(controls, name) for name, controls in arms.items()}
    if config.baselines and course.acts is not None:  # what the written words are worth, and what they cost in language
        players["acts recited"] = shop.reciter(course.acts)
    played = {
        name: (
            player if isinstance(player, ModelPlayer) else shop.player([], name),
            shop.episodes(f"held-out-{name.replace(' ', '-')}", "held-out", player, config.held_out),
        )
        for name, player in players.items()
    }
    judged = judge_arms(shop.model, played, shop.spec_of("held-out"), resamples=config.resamples, seed=config.seed)
    shop.done("judgement", begun, {"arms": len(judged)})
    return judged
