"""The results of a comparison of controls, and the finding in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from telic.capability.language import LanguageHealth
from telic.comparison.costs import Cost
from telic.comparison.transfer import transfer_sentence
from telic.episodes import Episode
from telic.errors import RunError
from telic.models import Control
from telic.progress import Shortfall
from telic.runs import RunFolder
from telic.stability.analysis import Stability
from telic.stability.curves import ALPHA
from telic.stability.followed import never_followed
from telic.stability.utterances import UtteranceStability
from telic.statistics import Interval, PairedDifference
from telic.steering import build_control

__all__ = ["ArmDifference", "ArmResult", "ComparisonRun", "TuningTrial", "read_comparison"]


class ArmDifference(BaseModel):
    """A paired difference between two arms, with its test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    """Sign-flip test, adjusted after Holm where several are tested."""

    @classmethod
    def of(cls, paired: PairedDifference, p: float | None = None) -> ArmDifference:
        """Make it from a paired difference; `p` replaces its p-value."""
        difference = paired.difference
        return cls(
            value=difference.value,
            low=difference.low,
            high=difference.high,
            n=difference.n,
            p=paired.p if p is None else p,
        )

    @property
    def interval(self) -> Interval:
        """The difference with its 95 % interval."""
        return Interval(self.value, self.low, self.high, self.n)

    @property
    def significantly_positive(self) -> bool:
        """Whether the interval lies above zero and p is below 0.05."""
        return self.low is not None and self.low > 0 and self.p is not None and self.p < ALPHA

    def __str__(self) -> str:
        return f"{self.interval}, n = {self.n}"


class TuningTrial(BaseModel):
    """A control at one strength, on the tuning part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    spec: dict[str, Any]
    area: float | None
    """Area under the stability curve."""
    gain: ArmDifference
    """Difference of areas to the baseline."""
    cost: Cost
    affordable: bool
    """Whether it costs no more than the budget, in general questions and in questions about the dialogue."""
    chosen: bool
    """Whether it is the most stable affordable strength of its control."""
    recall: Cost | None = None
    """Its cost in questions about the dialogue; None in runs from before these were asked."""

    @property
    def worst_loss(self) -> float:
        """The larger of its two losses; 0 where neither is known."""
        return max((cost.loss for cost in (self.cost, self.recall) if cost and cost.loss is not None), default=0.0)


class ArmResult(BaseModel):
    """The baseline or a chosen control, on held-out dialogues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    spec: dict[str, Any] | None
    """The control's table in a purpose file; None for the baseline."""
    stability: Stability
    gain: ArmDifference | None
    """Difference of areas to the baseline, over all probes; None for the baseline itself."""
    bank: Stability | None
    """Stability under the instructions of a bank beside the purpose: of the winner and the baseline."""
    bank_gain: ArmDifference | None
    """The winner's gain under these instructions."""
    demand_gains: dict[str, ArmDifference] = Field(default_factory=dict)
    """The gain by what the instruction demands of a reply, over the dialogues of a bank."""
    cost: Cost | None
    spoken: UtteranceStability | None = None
    """How far the utterances follow the probes with `every_reply`; None where there is no such probe."""
    spoken_gain: ArmDifference | None = None
    """Difference of that share to the baseline."""
    recall: Cost | None = None
    """Cost in questions about the dialogue."""
    followed_gain: ArmDifference | None = None
    """The gain over the probes that the baseline follows before the dialogue, where it never follows some of them."""
    language: LanguageHealth | None
    """Replies to neutral prompts: divergence, perplexity, distinct n-grams, length."""


@dataclass(frozen=True)
class ComparisonRun:
    """The result of a comparison, and where it is kept."""

    trials: list[TuningTrial]
    compared: list[ArmResult]
    """The baseline first, then the controls from most to least stable."""
    versus: dict[str, ArmDifference]
    """By name of every other control: by how much the most stable control leads."""
    budget: float
    episodes: list[Episode] = field(default_factory=list)
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""
    shortfall: Shortfall | None = None
    """What a time limit left unplayed and unasked; None if all was done."""

    @property
    def winner(self) -> ArmResult | None:
        """The most stable control, if it is significantly better than the baseline."""
        best = self.compared[1] if len(self.compared) > 1 else None
        return best if best is not None and best.gain is not None and best.gain.significantly_positive else None

    @property
    def transfer(self) -> str | None:
        """A sentence on the winner's gain under the instructions of a bank; None where these were not played."""
        if self.winner is None or self.winner.gain is None or self.winner.bank_gain is None:
            return None
        return transfer_sentence(self.winner.gain.interval, self.winner.bank_gain.interval)

    @property
    def demands(self) -> list[str]:
        """What the instructions demand of a reply, where controls were compared on a bank that says so."""
        return list(dict.fromkeys(demand for arm in self.compared for demand in arm.demand_gains))

    @property
    def best(self) -> Control | None:
        """The winner, ready for use."""
        return build_control(self.winner.spec) if self.winner and self.winner.spec else None

    @property
    def left_out(self) -> list[str]:
        """A sentence on each control of which no strength was compared on held-out dialogues."""
        kinds: dict[str, list[TuningTrial]] = {}
        for trial in self.trials:
            kinds.setdefault(trial.kind, []).append(trial)
        return [
            self._why_left_out(kind, trials)
            for kind, trials in kinds.items()
            if not any(trial.chosen for trial in trials)
        ]

    def _why_left_out(self, kind: str, trials: list[TuningTrial]) -> str:
        if any(trial.affordable for trial in trials):
            return f"control {kind} is left out: no strength within the budget has a score in any tuning dialogue"
        least = min(trials, key=lambda trial: trial.worst_loss)
        about = "" if least.recall is None else f", of those about the dialogue {least.recall.summary}"
        return (
            f"control {kind} is left out: it costs more than the budget of {self.budget:.0%} at every strength; lost "
            f"with the cheapest, {least.name}: of the questions {least.cost.summary}{about}"
        )

    @property
    def never_followed(self) -> str | None:
        """A sentence that names the probes that the baseline never follows before the dialogue, if there are any."""
        starts = self.compared[0].stability.starts if self.compared else []
        text = never_followed(starts)
        if text is None:
            return None
        return f"without a control, {text}"

    @property
    def finding(self) -> str:
        """Which control is best, in one sentence."""
        if len(self.compared) < 2:
            return f"no control costs at most {self.budget:.0%} of the questions"
        best = self.compared[1]
        scope = self._scope(best)
        if self.winner is None:
            return f"no control is significantly better than the baseline; the best is {best.name}, {best.gain}{scope}"
        text = f"{best.name} holds the purpose best: {best.gain} over the baseline{scope}"
        rivals = [name for name, lead in self.versus.items() if not lead.significantly_positive]
        if rivals:
            return f"{text}; not significantly better than {', '.join(rivals)}"
        return f"{text}; significantly better than every other control"

    def _scope(self, arm: ArmResult) -> str:
        """Say which probes a gain is over, where some were never followed."""
        starts = self.compared[0].stability.starts
        never = sum(start.never for start in starts)
        if not never:
            return ""
        rest = f" ({arm.followed_gain} on the {len(starts) - never} others)" if arm.followed_gain else ""
        return f" on all {len(starts)} probes{rest}"

    @property
    def headline(self) -> str:
        """The finding, between the probes that were never followed and whether the gain transfers."""
        return "; ".join(part for part in (self.never_followed, self.finding, self.transfer) if part)


def read_comparison(run: RunFolder) -> ComparisonRun:
    """Read the result of a finished comparison from its folder.

    Raises:
        RunError: it was not finished.
    """
    found = [record for record in run.read_metrics() if "compared" in record]
    if not found:
        raise RunError(f"{run.path} is not finished: continue with --resume {run.path}")
    last, document = found[-1], run.document
    return ComparisonRun(
        [TuningTrial.model_validate(trial) for trial in last["trials"]],
        [ArmResult.model_validate(arm) for arm in last["compared"]],
        {name: ArmDifference.model_validate(lead) for name, lead in last["versus"].items()},
        document["config"]["measure"]["budget"],
        run.episodes.latest(),
        run.path,
        document,
        Shortfall.from_dict(last["shortfall"]) if last.get("shortfall") else None,
    )
