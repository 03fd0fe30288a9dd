"""`hold`: which control keeps a chatbot to its purpose best, at a stated cost in capability.

Every control is tried at several strengths on a tuning part. The most stable strength of each within the budget is then
compared with the baseline and with the others, pair by pair, on dialogues that played no part in the tuning.

The winner is compared with the baseline once more on a bank, whose instructions are of another origin than the purpose.

A time limit is divided between the phases as a whole run would divide its time. Within a phase all arms play the same
dialogues, and are asked the same questions, whatever the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telic.comparison.arms import Arm, plan_arms
from telic.comparison.candidates import Strengths, candidates, strengths_of
from telic.comparison.config import ComparisonConfig
from telic.comparison.costs import Costs, RecordedCosts, RecordedLanguage
from telic.comparison.evaluation import evaluate_arms, evaluate_trials, find_winner, tuned_arms
from telic.comparison.results import ComparisonRun
from telic.comparison.stages import BANK, HELD_OUT, TUNING, StagePlans
from telic.episodes import BASELINE
from telic.errors import ConfigError
from telic.models import Model
from telic.progress import Deadline, Phase, ProgressCallback, ProgressTracker, Shortfall, forecast_sentence, track
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.measurement import KEPT_SETTINGS, describe, describe_bank, name_of
from telic.stability.plan import DialoguePlan, protocol_of, replies_to_come
from telic.stability.record import RunRecord
from telic.stability.selfchat import play_dialogues

__all__ = ["hold"]

TUNED, TUNING_COSTS, COMPARED, CHECKED, COSTS = "tuning", "tuning costs", "comparing", "other instructions", "costs"
"""The phases of a comparison."""
QUESTION = 0.2
"""Time of a question relative to a reply, before either was timed."""
SHARED = (
    "the bank has too few system prompts to keep some for tuning, so tuning dialogues differ from the others by their "
    "seeds alone"
)
"""What is said of a bank that cannot be split."""
PROMPTS = 24
"""Neutral prompts whose replies are compared, per control."""


def hold(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | Bank | None = None,
    bank: Bank | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool | ProgressCallback = False,
    config: ComparisonConfig | None = None,
    **settings: Any,
) -> ComparisonRun:
    """Compare controls at matched capability cost (arXiv 2402.10962), and find the one to use.

    Args:
        model: plays both sides.
        purpose: a purpose with probes, whose own controls are left out; or a bank, which is split by system prompt
            if it is large enough.
        partner: the other side, as for `measure`.
        bank: the bank of the setting `bank_dialogues`, by default the held-out half of `ifeval`; only beside a purpose.
        folder: where the run folder is made; without it the run is kept in memory only.
        resume: a run folder to go on with.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply and question.
        config: settings.
        **settings: single fields of `ComparisonConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, the purpose has no probes, no dialogue is drawn from the bank that is given, or
            the run to be resumed had another configuration.
    """
    config = ComparisonConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    strengths, left_out = strengths_of(model, config.controls)
    if bank is not None and (isinstance(purpose, Bank) or not config.bank_dialogues):
        raise ConfigError(
            "a bank beside the purpose needs bank_dialogues of 1 or more, and a purpose that is not a bank"
        )
    stages = StagePlans(purpose, partner, config, bank)

    def work() -> dict[str, Any]:
        described = describe(model, purpose, partner, config, stages.of(TUNING)(()))
        beside: dict[str, Any] = {} if bank is None else {"bank": describe_bank(bank)}
        if stages.shares_triplets:
            beside["split"] = SHARED
        return described | beside | {"strengths": {kind: list(tried) for kind, tried in strengths.items()}}

    kept = config.model_dump(include=set(KEPT_SETTINGS))
    start = RunRecord.start("hold", name_of(purpose), work, kept, root=folder, resume=resume)
    with start as record, track(progress) as tracker:
        comparison = _Comparison(model, strengths, stages, record, tracker)
        comparison.announce([*left_out, *([SHARED] if stages.shares_triplets else [])])
        return comparison.run()


class _Comparison:
    """One comparison: its arms, their dialogues and their costs."""

    def __init__(
        self,
        model: Model,
        strengths: Strengths,
        stages: StagePlans,
        record: RunRecord,
        tracker: ProgressTracker,
    ) -> None:
        self.model, self.stages, self.record, self.tracker = model, stages, record, tracker
        self.config = stages.config
        self.deadline = Deadline(self.config.minutes)
        folder = record.path / "vectors" / "purpose-axis" if record.path else None
        found = candidates(model, strengths, stages.systems(), folder)
        self.arms = [Arm(BASELINE), *(Arm(candidate.name, (candidate.control,)) for candidate in found)]
        self.kinds = len(strengths)
        self.costs = Costs(
            model, stages.cost_systems(), self.config.questions, self.config.seed, RecordedCosts(record),
            RecordedLanguage(record),
        )  # fmt: skip

    def announce(self, left_out: Sequence[str]) -> None:
        """Report the start, with what is to come if a strength of every control is affordable."""
        questions, prompts = self.costs.questions(tuning=False), PROMPTS if self.costs.questions(tuning=False) else 0
        tuning = replies_to_come(self.record.missing(self._tuning()), self.config)
        phases = [
            Phase(TUNED, "replies", tuning),
            Phase(TUNING_COSTS, "questions", self.costs.missing(self.arms, tuning=True), QUESTION),
            Phase(COMPARED, "replies", (1 + self.kinds) * self.stages.replies(HELD_OUT)),
            *([Phase(CHECKED, "replies", 2 * self.stages.replies(BANK))] if self.stages.bank else []),
            Phase(COSTS, "questions", (1 + self.kinds) * questions + self.kinds * prompts, QUESTION),
        ]
        what = f"dialogues of {self.config.rounds} rounds with each control, the tuning included"

        def forecast(seconds: float) -> str:
            return forecast_sentence(seconds, self.config.dialogues, what)

        self.tracker.start(self.record.path, (*self.record.warnings, *left_out), phases, forecast, self.deadline)

    def run(self) -> ComparisonRun:
        """Choose a strength of every control, and compare these on held-out dialogues."""
        tuning = self._tuning()
        self._play(TUNED, tuning)
        tuning_questions = self._ask(TUNING_COSTS, self.arms, tuning=True)
        trials = evaluate_trials(self.record.episodes, self.arms, self.costs, self.config)
        names = {trial.name for trial in trials if trial.chosen}
        chosen = [self.arms[0], *(arm for arm in self.arms if arm.name in names)]
        held_out = plan_arms(HELD_OUT, chosen, self.stages.of(HELD_OUT))
        self._play(COMPARED, held_out)
        on_bank = self._on_bank(chosen)
        if on_bank:
            self._play(CHECKED, on_bank, BANK)
        questions = self._ask(COSTS, chosen, tuning=False)
        languages = self.costs.measure_language(chosen[1:], deadline=self.deadline, tracker=self.tracker)
        compared, versus = evaluate_arms(self.record.episodes, chosen, self.costs, self.config)
        shortfall = Shortfall.of(
            self.config.minutes,
            tuning_dialogues=self._dialogues(tuning),
            tuning_questions=(tuning_questions, self.costs.questions(tuning=True)),
            dialogues=self._dialogues(held_out),
            **({"bank_dialogues": self._dialogues(on_bank)} if on_bank else {}),
            questions=(questions, self.costs.questions(tuning=False)),
            language_comparisons=languages,
        )
        record, budget = self.record, self.config.budget
        run = ComparisonRun(trials, compared, versus, budget, record.episodes, record.path, record.document, shortfall)
        record.add_metrics(
            {
                "headline": run.headline,
                "shortfall": shortfall.as_dict() if shortfall else None,
                "trials": [trial.model_dump(mode="json") for trial in trials],
                "compared": [arm.model_dump(mode="json") for arm in compared],
                "versus": {name: lead.model_dump(mode="json") for name, lead in versus.items()},
            }
        )
        return run

    def _tuning(self) -> list[DialoguePlan]:
        tuned = tuned_arms(self.arms)
        return plan_arms(TUNING, tuned, self.stages.of(TUNING)) if len(tuned) > 1 else []

    def _on_bank(self, chosen: Sequence[Arm]) -> list[DialoguePlan]:
        """Plan the dialogues of the winner and the baseline under a bank's instructions; none without a winner."""
        winner = find_winner(self.record.episodes, chosen, self.config) if self.stages.bank else None
        return plan_arms(BANK, [chosen[0], winner], self.stages.of(BANK)) if winner else []

    def _play(self, phase: str, plans: Sequence[DialoguePlan], stage: str = HELD_OUT) -> None:
        """Play the missing ones of some dialogues, in the share of the time that they would take of a whole run."""
        settings = self.stages.settings(stage)
        missing, protocol = self.record.missing(plans), protocol_of(self.model, settings)
        self.tracker.begin(phase, replies_to_come(missing, settings))
        deadline = self.deadline.part(self.tracker.share())
        counted, expected = self.tracker.count_reply, self.tracker.expect
        play_dialogues(self.model, missing, protocol, self.record.append, counted, deadline, on_start=expected)

    def _ask(self, phase: str, arms: Sequence[Arm], *, tuning: bool) -> int:
        """Ask the missing questions in the same way; returns how many all arms were asked."""
        prompts = PROMPTS * (len(arms) - 1) if not tuning and self.costs.questions(tuning=False) else 0
        self.tracker.begin(phase, self.costs.missing(arms, tuning=tuning) + prompts)
        deadline = self.deadline.part(self.tracker.share())
        return self.costs.measure(arms, tuning=tuning, deadline=deadline, tracker=self.tracker)

    def _dialogues(self, plans: Sequence[DialoguePlan]) -> tuple[int, int]:
        """Count the dialogues that all arms have played, and those planned."""
        planned, missing = ({plan.group for plan in some} for some in (plans, self.record.missing(plans)))
        return len(planned) - len(missing), len(planned)
