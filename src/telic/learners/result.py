"""What a learner returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LEARNED", "Learned"]

LEARNED = "learned.json"
"""File in the folder of what was learnt, which says from what and how."""


@dataclass(frozen=True)
class Learned:
    """What was learnt from conversations: a candidate for a new version of a chatbot."""

    method: str
    """Name of the method, such as `planner`."""
    purpose_changes: dict[str, Any]
    """Settings of the purpose file that the version changes, such as `{"planner": {"path": ...}}`."""
    folder: Path
    """Folder of what was learnt; its `learned.json` says from what and how."""
    metrics: dict[str, Any]
    """Figures of the training, as JSON."""
    sources: tuple[str, ...]
    """Ids of the conversations that were learnt from."""
