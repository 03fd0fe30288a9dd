"""Capability cost: the accuracy that controls cost, and how they change the model's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from telic.capability.change import Change
from telic.capability.choice import NEUTRAL_EXCHANGE, ChoiceAccuracy, choice_accuracy
from telic.capability.config import CostConfig
from telic.capability.items import Item, load_items
from telic.capability.language import (
    LanguageHealth,
    UncontrolledLanguage,
    language_baseline,
    language_health,
    neutral_prompts,
)
from telic.capability.scoring import require_scorer
from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.base import Model
from telic.models.capabilities import Scorer
from telic.models.control import Control
from telic.statistics import Interval

__all__ = ["CapabilityBaseline", "CapabilityCost", "capability_cost", "measure_baseline"]

OnProgress = Callable[[str, int, int], None]
"""Called with the part (`items` or `prompts`), the number done, and the number of all."""


class CapabilityCost(BaseModel):
    """The cost of some controls under one system prompt. Intervals are 95 % bootstrap intervals."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a written one also has the computed cost

    model: str
    controls: list[dict[str, Any]]
    """Their tables, as in a purpose file."""
    system: str | None
    accuracy: Change
    """Share of the multiple-choice items answered right, paired by item."""
    probability: Change
    """Mean probability of the right option among the options, paired by item: finer than right or wrong."""
    subjects: dict[str, Interval]
    """Accuracy under the controls, by subject."""
    language: LanguageHealth
    config: CostConfig

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost(self) -> float | None:
        """Percentage points of accuracy lost: baseline minus controlled. Negative if the controls help."""
        return self.cost_interval.value

    @property
    def cost_interval(self) -> Interval:
        """The cost with its interval, in percentage points."""
        found = self.accuracy.difference
        value, low, high = (None if x is None else 0.0 - 100 * x for x in (found.value, found.high, found.low))
        return Interval(value, low, high, found.n, found.missing)


@dataclass(frozen=True)
class CapabilityBaseline:
    """The model without controls under one system prompt: measured once, compared with many times."""

    model: str
    system: str | None
    items: tuple[Item, ...]
    prompts: tuple[str, ...]
    history: tuple[Message, ...]
    config: CostConfig
    choice: ChoiceAccuracy
    language: UncontrolledLanguage


def measure_baseline(
    model: Model,
    *,
    system: str | None = None,
    items: Sequence[Item] | None = None,
    prompts: Sequence[str] | None = None,
    history: Sequence[Message] | None = None,
    config: CostConfig | None = None,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> CapabilityBaseline:
    """Measure the model without controls.

    Args:
        model: a local model.
        system: the system prompt under which it is deployed.
        items: multiple-choice items; by default those that ship with Telic.
        prompts: neutral user prompts; by default those that ship with Telic.
        history: the turns before each question; by default a greeting, since closed-loop controls act only from the
            second turn on. `()` for none.
        config: settings.
        on_progress: called as items and prompts are done.
        **settings: single fields of `CostConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, or there is nothing to ask.
        UnsupportedControlError: the model does not score replies.
    """
    scorer = require_scorer(model)
    config = _settings(config, settings)
    history = tuple(NEUTRAL_EXCHANGE if history is None else history)
    items = tuple(load_items() if items is None else items)
    prompts = tuple(neutral_prompts() if prompts is None else prompts)
    return CapabilityBaseline(
        model=model.name,
        system=system,
        items=items,
        prompts=prompts,
        history=history,
        config=config,
        choice=_choices(scorer, items, (), system, history, config, on_progress),
        language=language_baseline(scorer, prompts, system, history, config, _progress_of("prompts", on_progress)),
    )


def capability_cost(
    model: Model,
    controls: Sequence[Control],
    *,
    system: str | None = None,
    items: Sequence[Item] | None = None,
    prompts: Sequence[str] | None = None,
    history: Sequence[Message] | None = None,
    baseline: CapabilityBaseline | None = None,
    config: CostConfig | None = None,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> CapabilityCost:
    """Measure what controls cost, compared with the same model without them.

    Both sides have the same system prompt, items, prompts and random numbers, so that every difference is paired.

    Args:
        model: a local model.
        controls: act on the model; the cost of none is exactly 0.
        system: the system prompt under which it is deployed.
        items: see `measure_baseline`.
        prompts: see `measure_baseline`.
        history: see `measure_baseline`.
        baseline: one that was measured before, whose system prompt, items, prompts, history and settings are used.
        config: settings.
        on_progress: called as items and prompts are done.
        **settings: single fields of `CostConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, or contradicts the baseline.
        UnsupportedControlError: the model does not score replies.
    """
    scorer = require_scorer(model)
    asked: dict[str, Any] = {"system": system, "items": items, "prompts": prompts, "history": history}
    if baseline is None:
        baseline = measure_baseline(model, **asked, config=config, on_progress=on_progress, **settings)
    else:
        _refuse_another(baseline, model.name, config=_settings(config or baseline.config, settings), **asked)
    return _compared(scorer, controls, baseline, on_progress)


def _compared(
    scorer: Scorer, controls: Sequence[Control], base: CapabilityBaseline, on_progress: OnProgress | None
) -> CapabilityCost:
    """Measure the model under the controls, and compare it with the baseline."""
    how, choice = base.config, base.choice
    if controls:
        choice = _choices(scorer, base.items, controls, base.system, base.history, how, on_progress)
    drawn: dict[str, Any] = {"resamples": how.resamples, "seed": how.seed}
    return CapabilityCost(
        model=scorer.name,
        controls=[control.spec() for control in controls],
        system=base.system,
        accuracy=Change.of(choice.correct, base.choice.correct, bounds=(0, 1), **drawn),
        probability=Change.of(choice.probabilities, base.choice.probabilities, **drawn),
        subjects=choice.subjects,
        language=language_health(scorer, base.language, controls, how, _progress_of("prompts", on_progress)),
        config=how,
    )


def _choices(
    model: Model,
    items: Sequence[Item],
    controls: Sequence[Control],
    system: str | None,
    history: Sequence[Message],
    config: CostConfig,
    on_progress: OnProgress | None,
) -> ChoiceAccuracy:
    return choice_accuracy(
        model,
        items,
        controls,
        system,
        history,
        form=config.form,
        normalise=config.normalise,
        resamples=config.resamples,
        seed=config.seed,
        on_progress=_progress_of("items", on_progress),
    )


def _settings(config: CostConfig | None, settings: dict[str, Any]) -> CostConfig:
    return CostConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})


def _refuse_another(
    baseline: CapabilityBaseline,
    model: str,
    *,
    system: str | None,
    items: Sequence[Item] | None,
    prompts: Sequence[str] | None,
    history: Sequence[Message] | None,
    config: CostConfig,
) -> None:
    """Refuse a baseline of another model or another question: its differences would mean nothing."""
    asked = {
        "model": (model, baseline.model),
        "system": (system, baseline.system),
        "items": (None if items is None else tuple(items), baseline.items),
        "prompts": (None if prompts is None else tuple(prompts), baseline.prompts),
        "history": (None if history is None else tuple(history), baseline.history),
        "config": (config, baseline.config),
    }
    for name, (wanted, had) in asked.items():
        if wanted is not None and wanted != had:
            shown = f" ({had!r}, not {wanted!r})" if name in ("model", "system", "config") else ""
            raise ConfigError(
                f"the baseline was measured with another {name}{shown}; omit {name!r}, or measure a new baseline"
            )


def _progress_of(part: str, on_progress: OnProgress | None) -> Callable[[int, int], None] | None:
    return None if on_progress is None else lambda done, whole: on_progress(part, done, whole)
