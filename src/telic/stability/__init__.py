"""Instruction stability: does a chatbot hold to its purpose over many rounds?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.stability.analysis import Stability, analyse_stability
    from telic.stability.bank import Bank, Triplet
    from telic.stability.config import MeasureConfig, TranscriptConfig
    from telic.stability.measurement import StabilityRun, measure

__all__ = [
    "Bank",
    "MeasureConfig",
    "Stability",
    "StabilityRun",
    "TranscriptConfig",
    "Triplet",
    "analyse_stability",
    "measure",
]

__getattr__ = imports(
    __name__,
    {
        "Bank": "telic.stability.bank",
        "MeasureConfig": "telic.stability.config",
        "Stability": "telic.stability.analysis",
        "StabilityRun": "telic.stability.measurement",
        "TranscriptConfig": "telic.stability.config",
        "Triplet": "telic.stability.bank",
        "analyse_stability": "telic.stability.analysis",
        "measure": "telic.stability.measurement",
    },
)
