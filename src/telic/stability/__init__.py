"""Instruction stability: does a chatbot hold to its purpose over many rounds?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telic.stability.analysis import Stability, analyse
    from telic.stability.bank import Bank, Triplet
    from telic.stability.config import HoldConfig, MeasureConfig
    from telic.stability.holding import HoldRun, hold
    from telic.stability.measurement import StabilityRun, measure

__all__ = [
    "Bank",
    "HoldConfig",
    "HoldRun",
    "MeasureConfig",
    "Stability",
    "StabilityRun",
    "Triplet",
    "analyse",
    "hold",
    "measure",
]

_HOMES = {
    "Bank": "bank",
    "HoldConfig": "config",
    "HoldRun": "holding",
    "MeasureConfig": "config",
    "Stability": "analysis",
    "StabilityRun": "measurement",
    "Triplet": "bank",
    "analyse": "analysis",
    "hold": "holding",
    "measure": "measurement",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # the command line reads the settings without loading the numerics
        value = getattr(importlib.import_module(f"telic.stability.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'telic.stability' has no attribute {name!r}")
