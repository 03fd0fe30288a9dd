"""Planners: networks that pursue a goal over a dialogue, by prefix tokens for a frozen model in every turn.

Names are imported when they are first used, so that importing the package loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.planner.cloning import CloneConfig, clone_utterances
    from telic.planner.control import PlannerControl
    from telic.planner.dialogue_acts import distil_acts, load_acts
    from telic.planner.gradient import UtteranceExample
    from telic.planner.planner import Planner, PlannerShape
    from telic.planner.saving import load_planner, save_planner
    from telic.planner.training import TrainRun, train

__all__ = [
    "CloneConfig",
    "Planner",
    "PlannerControl",
    "PlannerShape",
    "TrainRun",
    "UtteranceExample",
    "clone_utterances",
    "distil_acts",
    "load_acts",
    "load_planner",
    "save_planner",
    "train",
]

__getattr__ = imports(
    __name__,
    {
        "CloneConfig": "telic.planner.cloning",
        "Planner": "telic.planner.planner",
        "PlannerControl": "telic.planner.control",
        "PlannerShape": "telic.planner.planner",
        "TrainRun": "telic.planner.training",
        "UtteranceExample": "telic.planner.gradient",
        "clone_utterances": "telic.planner.cloning",
        "distil_acts": "telic.planner.dialogue_acts",
        "load_acts": "telic.planner.dialogue_acts",
        "load_planner": "telic.planner.saving",
        "save_planner": "telic.planner.saving",
        "train": "telic.planner.training",
    },
)
