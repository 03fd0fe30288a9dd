"""The first run: a chatbot that drifts, and the same chatbot held by a control, on the same dialogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telic.comparison.arms import Arm, compare, of_arm, plan_arms
from telic.comparison.config import DEMO_CONTROL, DemoConfig
from telic.comparison.results import ArmDifference
from telic.episodes import BASELINE, Branch, Episode
from telic.errors import RunError
from telic.models import Model, Request
from telic.models.compatibility import refuse_unsupported
from telic.progress import ProgressCallback, track
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability.analysis import Stability, analyse_stability
from telic.stability.measurement import KEPT_SETTINGS, describe, play_missing
from telic.stability.plan import plan_dialogues
from telic.stability.record import RunRecord
from telic.stability.scores import score_by_round
from telic.steering import build_control

__all__ = ["DemoRun", "arm_of", "demo", "last_branches", "read_demo"]

STAGE = "demo"


@dataclass(frozen=True)
class DemoRun:
    """The two arms of a demo, on the same dialogues with the same seeds."""

    control: str
    """Name of the control of the second arm."""
    baseline: Stability
    held: Stability
    gain: ArmDifference
    """Difference of the areas under the two curves, paired by dialogue."""
    last_gain: ArmDifference
    """Difference in the last round, paired by dialogue."""
    episodes: list[Episode]
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        first, last = self.baseline.curve[0], self.baseline.curve[-1]
        held = self.held.curve[-1]
        numbers = [point.stability for point in (first, last, held)]
        if None in numbers or self.gain.value is None:
            return "too few answers could be scored to compare the two"
        return (
            f"after {last.round} rounds the chatbot follows {numbers[1]:.0%} of its probes alone (before the dialogue: "
            f"{numbers[0]:.0%}) and {numbers[2]:.0%} with {self.control}; averaged over the rounds the difference is "
            f"{self.gain} dialogues"
        )

    def excerpt(self) -> tuple[Episode, Episode] | None:
        """The dialogue in which the arms differ most in the last round: its baseline episode, then the held one."""
        pairs = [
            (one, other)
            for one, other in zip(*(self.of(name) for name in (BASELINE, self.control)), strict=False)
            if score_by_round(one) and score_by_round(other)
        ]
        return max(pairs, key=_lead, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return the finding and all figures as plain data."""
        figures = {"baseline": self.baseline, "held": self.held, "gain": self.gain, "last_gain": self.last_gain}
        return {"headline": self.headline, **{name: one.model_dump(mode="json") for name, one in figures.items()}}

    def of(self, arm: str) -> list[Episode]:
        """The episodes of an arm, in the order of their dialogues."""
        return of_arm(self.episodes, STAGE, Arm(arm))


def demo(
    model: Model,
    purpose: Purpose | None = None,
    *,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool | ProgressCallback = False,
    on_branch: Callable[[Episode, Branch], None] | None = None,
    config: DemoConfig | None = None,
    **settings: Any,
) -> DemoRun:
    """Play the same dialogues without a control and with `refresh`, and compare the two.

    Args:
        model: plays both sides.
        purpose: has probes; its own controls are left out. By default the bundled purpose `demo`.
        folder: where the run folder is made; without it the run is kept in memory only.
        resume: a run folder to go on with.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply.
        on_branch: called with each probe, once its answers have their scores; in a resumed run also with those that it
            has already.
        config: settings.
        **settings: single fields of `DemoConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, or the run to be resumed had another configuration.
    """
    config = DemoConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    purpose = purpose or Purpose.load("demo")
    control = build_control(DEMO_CONTROL)
    arms = [Arm(BASELINE), Arm(control.name, (control,))]
    plans = plan_arms(STAGE, arms, lambda used: plan_dialogues(purpose, None, config, used))

    def work() -> dict[str, Any]:
        return describe(model, purpose, None, config, plans)

    refuse_unsupported(model, [Request((), controls=arm.controls) for arm in arms])
    kept = config.model_dump(include=set(KEPT_SETTINGS))

    start = RunRecord.start("demo", purpose.name, work, kept, root=folder, resume=resume)
    with start as record, track(progress) as tracker:
        if on_branch is not None:
            for episode in record.episodes:  # those of a run that is resumed
                for branch in episode.branches:
                    on_branch(episode, branch)
        play_missing(model, plans, config, record, tracker, announce=False, on_branch=on_branch)
        run = _analyse(record.episodes, config.resamples, record.path, record.document)
        record.add_metrics(run.as_dict())
        return run


def last_branches(episode: Episode) -> tuple[int, list[Branch]]:
    """Return the last round in which probes were asked, and the probes of that round."""
    last = max((branch.round for branch in episode.branches), default=0)
    return last, [branch for branch in episode.branches if branch.round == last]


def arm_of(episode: Episode) -> str:
    """Name the arm of an episode of a demo."""
    return episode.id.split("/")[1]


def read_demo(run: RunFolder) -> DemoRun:
    """Read the result of a demo from its folder.

    Raises:
        RunError: it was not finished.
    """
    if not any("last_gain" in record for record in run.read_metrics()):
        raise RunError(f"{run.path} is not finished: continue with --resume {run.path}")
    resamples = run.document.get("settings", {}).get("resamples", DemoConfig().resamples)
    return _analyse(run.episodes.latest(), resamples, run.path, run.document)


def _analyse(episodes: list[Episode], resamples: int, folder: Path | None, document: dict[str, Any]) -> DemoRun:
    alone, controlled = Arm(BASELINE), Arm(DEMO_CONTROL["name"])
    baseline, held = (
        analyse_stability(of_arm(episodes, STAGE, arm), resamples=resamples) for arm in (alone, controlled)
    )
    gain = compare(episodes, STAGE, controlled, alone, resamples=resamples)
    last = compare(episodes, STAGE, controlled, alone, by=_last_scores, resamples=resamples)
    return DemoRun(
        controlled.name, baseline, held, ArmDifference.of(gain), ArmDifference.of(last), episodes, folder, document
    )


def _last_scores(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """The mean score of each episode in its last planned round."""
    return {episode.id: score_by_round(episode).get(episode.metadata["rounds"]) for episode in episodes}


def _lead(pair: tuple[Episode, Episode]) -> float:
    one, other = (list(score_by_round(episode).values())[-1] for episode in pair)
    return other - one
