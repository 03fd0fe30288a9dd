"""Capability cost: what bending a model towards its purpose costs in what it can otherwise do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telic.capability.choice import NEUTRAL_EXCHANGE, ChoiceAccuracy, choice_accuracy
    from telic.capability.config import CostConfig
    from telic.capability.cost import Baseline, CapabilityCost, capability_cost, measure_baseline
    from telic.capability.items import Item, load_items, read_items, sample_items
    from telic.capability.language import neutral_prompts

__all__ = [
    "NEUTRAL_EXCHANGE",
    "Baseline",
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

_HOMES = {
    "NEUTRAL_EXCHANGE": "choice",
    "Baseline": "cost",
    "CapabilityCost": "cost",
    "ChoiceAccuracy": "choice",
    "CostConfig": "config",
    "Item": "items",
    "capability_cost": "cost",
    "choice_accuracy": "choice",
    "load_items": "items",
    "measure_baseline": "cost",
    "neutral_prompts": "language",
    "read_items": "items",
    "sample_items": "items",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # the command line reads the settings without loading the numerics
        value = getattr(importlib.import_module(f"telic.capability.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'telic.capability' has no attribute {name!r}")
