"""What each control costs in capability, on the questions of one split, measured once and kept."""

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
from telic.comparison.arms import BASELINE, Arm
from telic.comparison.recall import HISTORY, talks
from telic.dialogue import Message
from telic.models import Control, Model
from telic.statistics import paired_difference

__all__ = ["Cost", "Costs"]


class Cost(BaseModel):
    """Questions that a control loses: right without it and wrong with it, less the other way round."""

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


class Costs:
    """Costs of arms, asked under the purpose's own system prompts and after some exchanges.

    There are two: on general questions, and on questions about what was said (`recall`), since a control can hold a
    model to its purpose by making it deaf to the dialogue. Half of each serve to choose strengths by, the other half to
    report what was chosen.

    Args:
        model: must give likelihoods; without them every cost is missing.
        systems: system prompts, dealt to the questions in turn.
        questions: how many, over both halves.
        seed: draws them.
        kept: where costs are looked up and stored, by name.
    """

    def __init__(
        self, model: Model, systems: Sequence[str], questions: int, seed: int, kept: MutableMapping[str, Cost]
    ) -> None:
        self.model, self.systems, self._kept = model, list(systems), kept
        items = sample_items(load_items(seed=seed), questions, seed)
        self._unbent: UncontrolledLanguage | None = None
        self._general = {True: items[::2], False: items[1::2]}
        spoken = talks()
        self._talks = {True: spoken[::2], False: spoken[1::2]}

    def of(self, arm: Arm, *, tuning: bool) -> Cost:
        """The cost of an arm on general questions: on the half to choose by, or on the other."""
        return self._cost(_half(tuning), arm, lambda controls: self._ask(controls, self._general[tuning]))

    def recall(self, arm: Arm, *, tuning: bool) -> Cost:
        """Its cost on questions about the dialogue: on the half to choose by, or on the other."""

        def ask(controls: Sequence[Control]) -> tuple[float | None, ...]:
            asked = zip(self._talks[tuning], itertools.cycle(self.systems), strict=False)
            found = [self._correct(talk.items, controls, system, talk.history) for talk, system in asked]
            return tuple(itertools.chain.from_iterable(found))

        return self._cost(f"{_half(tuning)}/recall", arm, ask)

    def language(self, arm: Arm) -> LanguageHealth | None:
        """How the model speaks under an arm on neutral prompts, next to how it speaks by itself."""
        if not callable(getattr(self.model, "score", None)):
            return None
        scorer, config = require_scorer(self.model), CostConfig()
        if self._unbent is None:
            self._unbent = language_baseline(scorer, neutral_prompts(), self.systems[0], HISTORY, config)
        return language_health(scorer, self._unbent, arm.controls, config)

    def _cost(self, what: str, arm: Arm, ask: Callable[[Sequence[Control]], tuple[float | None, ...]]) -> Cost:
        """Look the cost up, or ask for it, and keep it."""
        key = f"{what}/{arm.name}"
        if key not in self._kept:
            correct = ask(arm.controls)
            base = correct if arm.name == BASELINE else self._cost(what, Arm(BASELINE), ask).correct
            self._kept[key] = _difference(base, correct)
        return self._kept[key]

    def _ask(self, controls: Sequence[Control], items: Sequence[Item]) -> tuple[float | None, ...]:
        """Ask general questions, the system prompts dealt to them in turn."""
        correct: dict[str, float | None] = {}
        for place, system in enumerate(self.systems):
            part = items[place :: len(self.systems)]
            correct |= zip((item.id for item in part), self._correct(part, controls, system, HISTORY), strict=True)
        return tuple(correct[item.id] for item in items)

    def _correct(
        self, items: Sequence[Item], controls: Sequence[Control], system: str, history: Sequence[Message]
    ) -> Sequence[float | None]:
        """Which questions it answers right; nobody knows where the model gives no likelihoods."""
        if not items or not callable(getattr(self.model, "score", None)):
            return (None,) * len(items)
        return choice_accuracy(self.model, items, controls, system, history).correct


def _half(tuning: bool) -> str:
    return "tuning" if tuning else "held-out"


def _difference(base: Sequence[float | None], controlled: Sequence[float | None]) -> Cost:
    found = paired_difference(base, controlled, bounds=(-1, 1)).difference
    return Cost(loss=found.value, low=found.low, high=found.high, n=found.n, correct=tuple(controlled))
