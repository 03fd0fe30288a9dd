"""The cost of each control in capability, measured once and kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, MutableMapping, Sequence

from pydantic import BaseModel, ConfigDict

from telic.capability import CostConfig, Item, choice_accuracy, load_items, sample_items
from telic.capability.language import (
    LanguageHealth,
    UncontrolledLanguage,
    language_baseline,
    language_health,
    neutral_prompts,
)
from telic.capability.scoring import require_scorer
from telic.comparison.arms import Arm
from telic.comparison.recall import HISTORY, recall_dialogues
from telic.dialogue import Message
from telic.episodes import BASELINE
from telic.models import Control, Model
from telic.models.capabilities import Scorer
from telic.stability.record import RunRecord
from telic.statistics import paired_difference

__all__ = ["Cost", "Costs", "RecordedCosts"]


class Cost(BaseModel):
    """Questions lost under a control: right without it and wrong with it, less the other way round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: float | None
    """Share of the questions."""
    low: float | None
    high: float | None
    n: int
    correct: tuple[float | None, ...]
    """1 or 0 for each question under the control."""

    @property
    def summary(self) -> str:
        """The loss in points, with its interval."""
        if self.loss is None:
            return "–"
        text = f"{100 * self.loss:+.1f} %"
        if self.low is not None and self.high is not None:
            text += f" [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return text.replace("-", "−")


class RecordedCosts(dict[str, Cost]):
    """Costs by name. Each is written into the run's record as it is found, so that a resumed run has it.

    Args:
        record: of the run, perhaps with costs from before it was resumed.
    """

    def __init__(self, record: RunRecord) -> None:
        found = [metrics for metrics in record.metrics() if "cost" in metrics]
        super().__init__({metrics["of"]: Cost.model_validate(metrics["cost"]) for metrics in found})
        self._record = record

    def __setitem__(self, name: str, cost: Cost) -> None:
        super().__setitem__(name, cost)
        self._record.add_metrics({"of": name, "cost": cost.model_dump(mode="json")})


class Costs:
    """Costs of arms, asked under the purpose's own system prompts and after some exchanges.

    There are two: on general questions, and on questions about the dialogue itself (`recall`), because a control can
    hold a model to its purpose by making it ignore the dialogue. Strengths are chosen on half of each; the costs of the
    chosen ones are reported on the other half.

    Args:
        model: must score replies; otherwise every cost is missing.
        systems: system prompts, used for the questions in turn.
        questions: number of general questions, both halves together.
        seed: of their selection.
        measured: costs by name: those measured before, and where new ones are put.
    """

    def __init__(
        self, model: Model, systems: Sequence[str], questions: int, seed: int, measured: MutableMapping[str, Cost]
    ) -> None:
        self.model, self.systems, self._measured = model, list(systems), measured
        items = sample_items(load_items(seed=seed), questions, seed)
        self._uncontrolled: UncontrolledLanguage | None = None
        self._general = {True: items[::2], False: items[1::2]}
        dialogues = recall_dialogues()
        self._recall = {True: dialogues[::2], False: dialogues[1::2]}

    def of(self, arm: Arm, *, tuning: bool) -> Cost:
        """Return the cost of an arm on general questions: on the half for tuning, or on the held-out one."""
        return self._cost(_half(tuning), arm, lambda controls: self._ask(controls, self._general[tuning]))

    def recall(self, arm: Arm, *, tuning: bool) -> Cost:
        """Return its cost on questions about the dialogue: on the half for tuning, or on the held-out one."""

        def ask(controls: Sequence[Control]) -> tuple[float | None, ...]:
            pairs = zip(self._recall[tuning], itertools.cycle(self.systems), strict=False)
            correct = [self._correct(one.items, controls, system, one.history) for one, system in pairs]
            return tuple(itertools.chain.from_iterable(correct))

        return self._cost(f"{_half(tuning)}/recall", arm, ask)

    def language(self, arm: Arm) -> LanguageHealth | None:
        """Measure an arm's replies to neutral prompts against the model's own; None where it scores no replies."""
        if not isinstance(self.model, Scorer):
            return None
        scorer, config = require_scorer(self.model), CostConfig()
        if self._uncontrolled is None:
            self._uncontrolled = language_baseline(scorer, neutral_prompts(), self.systems[0], HISTORY, config)
        return language_health(scorer, self._uncontrolled, arm.controls, config)

    def _cost(self, questions: str, arm: Arm, ask: Callable[[Sequence[Control]], tuple[float | None, ...]]) -> Cost:
        """Look the cost up, or measure and keep it."""
        key = f"{questions}/{arm.name}"
        if key not in self._measured:
            correct = ask(arm.controls)
            base = correct if arm.name == BASELINE else self._cost(questions, Arm(BASELINE), ask).correct
            self._measured[key] = _difference(base, correct)
        return self._measured[key]

    def _ask(self, controls: Sequence[Control], items: Sequence[Item]) -> tuple[float | None, ...]:
        """Ask general questions, under each system prompt in turn."""
        correct: dict[str, float | None] = {}
        for place, system in enumerate(self.systems):
            part = items[place :: len(self.systems)]
            correct |= zip((item.id for item in part), self._correct(part, controls, system, HISTORY), strict=True)
        return tuple(correct[item.id] for item in items)

    def _correct(
        self, items: Sequence[Item], controls: Sequence[Control], system: str, history: Sequence[Message]
    ) -> Sequence[float | None]:
        """Return 1 or 0 for each question; None for all where the model scores no replies."""
        if not items or not isinstance(self.model, Scorer):
            return (None,) * len(items)
        return choice_accuracy(self.model, items, controls, system, history).correct


def _half(tuning: bool) -> str:
    return "tuning" if tuning else "held-out"


def _difference(base: Sequence[float | None], controlled: Sequence[float | None]) -> Cost:
    found = paired_difference(base, controlled, bounds=(-1, 1)).difference
    return Cost(loss=found.value, low=found.low, high=found.high, n=found.n, correct=tuple(controlled))
