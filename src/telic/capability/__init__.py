"""Capability cost: how much controls lower a model's accuracy, and how they change its language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.capability.choice import NEUTRAL_EXCHANGE, ChoiceAccuracy, choice_accuracy
    from telic.capability.config import CostConfig
    from telic.capability.cost import CapabilityBaseline, CapabilityCost, capability_cost, measure_baseline
    from telic.capability.items import Item, load_items, read_items, sample_items
    from telic.capability.language import neutral_prompts

__all__ = [
    "NEUTRAL_EXCHANGE",
    "CapabilityBaseline",
    "CapabilityCost",
    "ChoiceAccuracy",
    "CostConfig",
    "Item",
    "capability_cost",
    "choice_accuracy",
    "load_items",
    "measure_baseline",
    "neutral_prompts",
    "read_items",
    "sample_items",
]

__getattr__ = imports(
    __name__,
    {
        "NEUTRAL_EXCHANGE": "telic.capability.choice",
        "CapabilityBaseline": "telic.capability.cost",
        "CapabilityCost": "telic.capability.cost",
        "ChoiceAccuracy": "telic.capability.choice",
        "CostConfig": "telic.capability.config",
        "Item": "telic.capability.items",
        "capability_cost": "telic.capability.cost",
        "choice_accuracy": "telic.capability.choice",
        "load_items": "telic.capability.items",
        "measure_baseline": "telic.capability.cost",
        "neutral_prompts": "telic.capability.language",
        "read_items": "telic.capability.items",
        "sample_items": "telic.capability.items",
    },
)
