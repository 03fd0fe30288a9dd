"""`hold`: which control keeps a chatbot to its purpose best, at a stated cost in capability.

Every control is tried at several strengths on a tuning part. The most stable strength of each within the budget is then
compared with the baseline and with the others, pair by pair, on dialogues that played no part in the tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from telic.comparison.arms import Arm, plan_arms
from telic.comparison.candidates import Strengths, candidates, strengths_of
from telic.comparison.config import ComparisonConfig
from telic.comparison.costs import Costs, RecordedCosts
from telic.comparison.evaluation import evaluate_arms, evaluate_trials, tuned_arms
from telic.comparison.results import ComparisonRun
from telic.comparison.stages import BANK, HELD_OUT, TUNING, StagePlans
from telic.episodes import BASELINE
from telic.models import Model, Reply
from telic.purpose import Purpose
from telic.runs import RunStart
from telic.stability.bank import Bank
from telic.stability.measurement import CHANGEABLE_SETTINGS, describe, name_of
from telic.stability.plan import DialoguePlan, protocol_of, replies_to_come
from telic.stability.record import RunRecord
from telic.stability.selfchat import play_dialogues

__all__ = ["hold"]


def hold(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    on_start: Callable[[RunStart], None] | None = None,
    config: ComparisonConfig | None = None,
    **settings: Any,
) -> ComparisonRun:
    """Compare controls at matched capability cost (arXiv 2402.10962), and find the one to use.

    Args:
        model: plays both sides.
        purpose: a purpose with probes, whose own controls are left out; or a bank, which is split by triplet.
        partner: the other side, as for `measure`.
        folder: where the run folder is made; without it the run is kept in memory only.
        resume: a run folder to go on with.
        on_reply: called with every reply of the dialogues.
        on_start: called before the first reply.
        config: settings.
        **settings: single fields of `ComparisonConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, the purpose has no probes, or the run to be resumed had another configuration.
    """
    config = ComparisonConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    strengths, left_out = strengths_of(model, config.controls)
    stages = StagePlans(purpose, partner, config)

    def work() -> dict[str, Any]:
        described = describe(model, purpose, partner, config, stages.of(TUNING)(()))
        return described | {"strengths": {kind: list(tried) for kind, tried in strengths.items()}}

    changeable = config.model_dump(include=set(CHANGEABLE_SETTINGS))
    with RunRecord.start("hold", name_of(purpose), work, changeable, root=folder, resume=resume) as record:
        comparison = _Comparison(model, strengths, stages, record, on_reply)
        start = RunStart(record.path, (*record.warnings, *left_out), comparison.replies_to_come())
        if on_start is not None:
            on_start(start)
        return comparison.run()


class _Comparison:
    """One comparison: its arms, their dialogues and their costs."""

    def __init__(
        self,
        model: Model,
        strengths: Strengths,
        stages: StagePlans,
        record: RunRecord,
        on_reply: Callable[[Reply], None] | None,
    ) -> None:
        self.model, self.stages, self.record, self.on_reply = model, stages, record, on_reply
        self.config = stages.config
        folder = record.path / "vectors" / "purpose-axis" if record.path else None
        found = candidates(model, strengths, stages.systems(), folder)
        self.arms = [Arm(BASELINE), *(Arm(candidate.name, (candidate.control,)) for candidate in found)]
        self.kinds = len(strengths)
        self.costs = Costs(model, stages.cost_systems(), self.config.questions, self.config.seed, RecordedCosts(record))

    def replies_to_come(self) -> int:
        """Count the replies of a comparison in which a strength of every control is affordable."""
        tuning = replies_to_come(self.record.missing(self._tuning()), self.config)
        return tuning + (1 + self.kinds) * self.stages.held_out_replies()

    def run(self) -> ComparisonRun:
        """Choose a strength of every control, and compare these on held-out dialogues."""
        self._play(self._tuning())
        trials = evaluate_trials(self.record.episodes, self.arms, self.costs, self.config)
        names = {trial.name for trial in trials if trial.chosen}
        chosen = [self.arms[0], *(arm for arm in self.arms if arm.name in names)]
        held_out = plan_arms(HELD_OUT, chosen, self.stages.of(HELD_OUT))
        if self.config.bank_dialogues:
            held_out += plan_arms(BANK, chosen, self.stages.of(BANK))
        self._play(held_out)
        compared, versus = evaluate_arms(self.record.episodes, chosen, self.costs, self.config)
        run = ComparisonRun(
            trials, compared, versus, self.config.budget, self.record.episodes, self.record.path, self.record.document
        )
        self.record.add_metrics(
            {
                "headline": run.headline,
                "trials": [trial.model_dump(mode="json") for trial in trials],
                "compared": [arm.model_dump(mode="json") for arm in compared],
                "versus": {name: lead.model_dump(mode="json") for name, lead in versus.items()},
            }
        )
        return run

    def _tuning(self) -> list[DialoguePlan]:
        tuned = tuned_arms(self.arms)
        return plan_arms(TUNING, tuned, self.stages.of(TUNING)) if len(tuned) > 1 else []

    def _play(self, plans: Sequence[DialoguePlan]) -> None:
        protocol = protocol_of(self.model, self.config)
        play_dialogues(self.model, self.record.missing(plans), protocol, self.record.append, self.on_reply)
