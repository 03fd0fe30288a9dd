"""Versions of a chatbot: registered, gated, tried on a share of the users, promoted, and rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports
from telic.promotion.records import Version, VersionStatus
from telic.promotion.serving import PromotedPurpose, load_version
from telic.promotion.versions import Versions

if TYPE_CHECKING:
    from telic.promotion.canary import Canary
    from telic.promotion.gate import run_gate
    from telic.promotion.gate_results import GateResult

__all__ = [
    "Canary",
    "GateResult",
    "PromotedPurpose",
    "Version",
    "VersionStatus",
    "Versions",
    "load_version",
    "run_gate",
]

__getattr__ = imports(
    __name__,
    {
        "Canary": "telic.promotion.canary",
        "GateResult": "telic.promotion.gate_results",
        "run_gate": "telic.promotion.gate",
    },
)
