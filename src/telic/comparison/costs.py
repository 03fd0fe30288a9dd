"""The cost of each control in capability, measured once and kept."""

from __future__ import annotations

import itertools
import random
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

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
from telic.progress import Deadline, ProgressTracker
from telic.stability.record import RunRecord
from telic.statistics import paired_difference

__all__ = ["Cost", "Costs", "RecordedCosts", "RecordedLanguage"]

BLOCK = {"": 16, "/recall": 5}
"""Questions that all arms are asked before time is looked at: general ones, and those about a dialogue."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A question with what comes before it."""

    item: Item
    system: str
    history: tuple[Message, ...]


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


class RecordedLanguage(dict[str, LanguageHealth]):
    """The language of arms by name, in the run's record as costs are.

    Args:
        record: of the run.
    """

    def __init__(self, record: RunRecord) -> None:
        found = [metrics for metrics in record.metrics() if "language" in metrics]
        super().__init__({metrics["of"]: LanguageHealth.model_validate(metrics["language"]) for metrics in found})
        self._record = record

    def __setitem__(self, name: str, language: LanguageHealth) -> None:
        super().__setitem__(name, language)
        self._record.add_metrics({"of": name, "language": language.model_dump(mode="json")})


class Costs:
    """Costs of arms, asked under the purpose's own system prompts and after some exchanges.

    There are two: on general questions, and on questions about the dialogue itself (`recall`), because a control can
    hold a model to its purpose by making it ignore the dialogue. Strengths are chosen on half of each; the costs of the
    chosen ones are reported on the other half. Where time is short, all arms are asked the same first questions.

    Args:
        model: must score replies; otherwise every cost is missing.
        systems: system prompts, used for the questions in turn.
        questions: number of general questions, both halves together.
        seed: of their selection.
        measured: costs by name: those measured before, and where new ones are put.
        language: the same of the arms' language.
    """

    def __init__(
        self,
        model: Model,
        systems: Sequence[str],
        questions: int,
        seed: int,
        measured: MutableMapping[str, Cost],
        language: MutableMapping[str, LanguageHealth] | None = None,
    ) -> None:
        self.model, self.systems, self._measured = model, list(systems), measured
        items = sample_items(load_items(seed=seed), questions, seed)
        random.Random(seed).shuffle(items)  # where time is short, the first ones are of all subjects
        dialogues = recall_dialogues()
        self._questions: dict[str, list[_Question]] = {}
        for first, half in ((0, "tuning"), (1, "held-out")):
            general = zip(items[first::2], itertools.cycle(self.systems), strict=False)
            self._questions[half] = [_Question(item, system, HISTORY) for item, system in general]
            talks = zip(dialogues[first::2], itertools.cycle(self.systems), strict=False)
            recall = [_Question(item, system, talk.history) for talk, system in talks for item in talk.items]
            self._questions[f"{half}/recall"] = recall
        self._uncontrolled: UncontrolledLanguage | None = None
        self._language = {} if language is None else language

    def of(self, arm: Arm, *, tuning: bool) -> Cost:
        """Return the cost of an arm on general questions: on the half for tuning, or on the held-out one."""
        return self._cost(_half(tuning), arm)

    def recall(self, arm: Arm, *, tuning: bool) -> Cost:
        """Return its cost on questions about the dialogue: on the half for tuning, or on the held-out one."""
        return self._cost(f"{_half(tuning)}/recall", arm)

    def language(self, arm: Arm) -> LanguageHealth | None:
        """Return how an arm's replies to neutral prompts differ from the model's own; None if that was not measured."""
        return self._language.get(arm.name)

    def questions(self, *, tuning: bool) -> int:
        """Count the questions that an arm is asked on one of the halves; none where the model scores no replies."""
        half = _half(tuning)
        return len(self._questions[half]) + len(self._questions[f"{half}/recall"]) if self._asks else 0

    def missing(self, arms: Sequence[Arm], *, tuning: bool) -> int:
        """Count the questions that arms are still to be asked."""
        half = _half(tuning)
        asked = sum(self._asked(f"{half}{kind}", arm) for arm in arms for kind in BLOCK)
        return len(arms) * self.questions(tuning=tuning) - asked if self._asks else 0

    def measure(self, arms: Sequence[Arm], *, tuning: bool, deadline: Deadline, tracker: ProgressTracker) -> int:
        """Ask all arms the same questions, as far as a deadline leaves time. At least a few are always asked.

        Args:
            arms: what to ask, the baseline first.
            tuning: which half of the questions.
            deadline: when no block of questions is begun any more that would not end in time.
            tracker: counts the questions.

        Returns:
            The number of questions that all arms were asked.
        """
        half, blocks = _half(tuning), self._blocks(_half(tuning)) if deadline.limited else 1
        for number in range(1, blocks + 1):
            began = deadline.clock()
            for kind, size in BLOCK.items():
                end = size * number if number < blocks else len(self._questions[half + kind])
                for arm in arms:
                    self._ask(half + kind, arm, end, tracker)
            if deadline.clock() - began > deadline.remaining:
                break
        return sum(min(self._asked(half + kind, arm) for arm in arms) for kind in BLOCK)

    def measure_language(self, arms: Sequence[Arm], *, deadline: Deadline, tracker: ProgressTracker) -> tuple[int, int]:
        """Measure the replies of arms to neutral prompts against the model's own: of all arms, or of none.

        Args:
            arms: the controls.
            deadline: where the first arm shows that there is no time for the others, none is measured.
            tracker: counts the prompts.

        Returns:
            How many arms were measured, and how many there are to measure: none where the model scores no replies.
        """
        if not self._asks:
            return 0, 0
        if deadline.remaining <= 0:
            return 0, len(arms)
        scorer, config, prompts = require_scorer(self.model), CostConfig(), neutral_prompts()
        missing = [arm for arm in arms if arm.name not in self._language]
        tracker.advance(len(prompts) * (len(arms) - len(missing)))
        for number, arm in enumerate(missing):
            began = deadline.clock()
            if self._uncontrolled is None:
                self._uncontrolled = language_baseline(scorer, prompts, self.systems[0], HISTORY, config)
            found = language_health(scorer, self._uncontrolled, arm.controls, config)
            tracker.advance(len(prompts))
            if number == 0 and (deadline.clock() - began) * (len(missing) - 1) > deadline.remaining:
                return 0, len(arms)
            self._language[arm.name] = found
        return len(arms), len(arms)

    @property
    def _asks(self) -> bool:
        """Whether the model can be asked: it scores replies."""
        return isinstance(self.model, Scorer)

    def _blocks(self, half: str) -> int:
        return max(-(-len(self._questions[half + kind]) // size) for kind, size in BLOCK.items())

    def _asked(self, questions: str, arm: Arm) -> int:
        """Return how many questions of a list an arm was asked so far."""
        found = self._measured.get(f"{questions}/{arm.name}")
        return len(found.correct) if found else 0

    def _cost(self, questions: str, arm: Arm) -> Cost:
        """Look the cost up, or measure and keep it."""
        if not self._asked(questions, arm):
            for one in (Arm(BASELINE), arm):
                self._ask(questions, one, len(self._questions[questions]), ProgressTracker())
        return self._measured[f"{questions}/{arm.name}"]

    def _ask(self, questions: str, arm: Arm, end: int, tracker: ProgressTracker) -> None:
        """Ask an arm the questions of a list up to a number, without those that it was asked before."""
        asked = self._questions[questions][self._asked(questions, arm) : end]
        if not asked:
            return
        found = self._measured.get(f"{questions}/{arm.name}")
        correct = (*(found.correct if found else ()), *self._correct(asked, arm.controls, tracker))
        known = self._measured.get(f"{questions}/{BASELINE}")
        base = correct if arm.name == BASELINE or known is None else known.correct
        self._measured[f"{questions}/{arm.name}"] = _difference(base[: len(correct)], correct)

    def _correct(
        self, asked: Sequence[_Question], controls: Sequence[Control], tracker: ProgressTracker
    ) -> list[float | None]:
        """Return 1 or 0 for each question; None for all where the model scores no replies."""
        correct: dict[_Question, float | None] = dict.fromkeys(asked)
        for system, history in dict.fromkeys((one.system, one.history) for one in asked):
            same = [one for one in asked if (one.system, one.history) == (system, history)]
            if isinstance(self.model, Scorer):
                items = [one.item for one in same]
                correct |= zip(same, choice_accuracy(self.model, items, controls, system, history).correct, strict=True)
                tracker.advance(len(same))
        return [correct[one] for one in asked]


def _half(tuning: bool) -> str:
    return "tuning" if tuning else "held-out"


def _difference(base: Sequence[float | None], controlled: Sequence[float | None]) -> Cost:
    found = paired_difference(base, controlled, bounds=(-1, 1)).difference
    return Cost(loss=found.value, low=found.low, high=found.high, n=found.n, correct=tuple(controlled))
