"""What each control costs in capability, on the questions of one split, measured once and kept."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from pydantic import BaseModel, ConfigDict

from telic.capability import NEUTRAL_EXCHANGE, CostConfig, Item, choice_accuracy, load_items, sample_items
from telic.capability.language import LanguageHealth, Unbent, language_baseline, language_health, neutral_prompts
from telic.capability.scoring import require_scorer
from telic.dialogue import Message, Role
from telic.models import Control, Model
from telic.stability.arms import NOTHING, Arm
from telic.statistics import paired_difference

__all__ = ["HISTORY", "Cost", "Costs"]

ROLES: tuple[Role, Role] = ("user", "assistant")
SMALL_TALK = (
    ("I walked to the lake this morning, and it was still half frozen.", "That sounds like a cold walk. Was it nice?"),
    ("Very. There were two swans, and nobody else about.", "It is good to have such a place for oneself now and then."),
    ("Then I made soup with what was left from Sunday.", "Soup on a cold day is a fine idea. What was in it?"),
    ("Leeks and potatoes, mostly. Now something else.", "Of course. What would you like to know?"),
)
HISTORY = (
    *NEUTRAL_EXCHANGE,
    *(Message(role=role, content=text) for pair in SMALL_TALK for role, text in zip(ROLES, pair, strict=True)),
)
"""What was said before each question. After a greeting alone closed loops would look cheap: nothing has drifted yet."""


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

    Half of the questions serve to choose strengths by, the other half to report what was chosen.

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
        self._unbent: Unbent | None = None
        self._halves = {True: items[::2], False: items[1::2]}

    def of(self, arm: Arm, *, tuning: bool) -> Cost:
        """The cost of an arm, on the half to choose by or on the other."""
        key = f"{'tuning' if tuning else 'held-out'}/{arm.name}"
        if key not in self._kept:
            if arm.name == NOTHING:
                correct = self._ask((), self._halves[tuning])
                self._kept[key] = _cost(correct, correct)
            else:
                base = self.of(Arm(NOTHING), tuning=tuning)
                self._kept[key] = _cost(base.correct, self._ask(arm.controls, self._halves[tuning]))
        return self._kept[key]

    def language(self, arm: Arm) -> LanguageHealth | None:
        """How the model speaks under an arm on neutral prompts, next to how it speaks by itself."""
        if not callable(getattr(self.model, "score", None)):
            return None
        scorer, config = require_scorer(self.model), CostConfig()
        if self._unbent is None:
            self._unbent = language_baseline(scorer, neutral_prompts(), self.systems[0], HISTORY, config)
        return language_health(scorer, self._unbent, arm.controls, config)

    def _ask(self, controls: Sequence[Control], items: Sequence[Item]) -> tuple[float | None, ...]:
        if not callable(getattr(self.model, "score", None)):
            return (None,) * len(items)
        correct: dict[str, float | None] = {}
        for place, system in enumerate(self.systems):
            part = items[place :: len(self.systems)]
            if part:
                found = choice_accuracy(self.model, part, controls, system, HISTORY)
                correct |= {item.id: right for item, right in zip(part, found.correct, strict=True)}
        return tuple(correct[item.id] for item in items)


def _cost(base: Sequence[float | None], controlled: Sequence[float | None]) -> Cost:
    found = paired_difference(base, controlled, bounds=(-1, 1)).difference
    return Cost(loss=found.value, low=found.low, high=found.high, n=found.n, correct=tuple(controlled))
