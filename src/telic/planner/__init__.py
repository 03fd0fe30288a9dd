"""Planners: what pursues a goal over a dialogue, by prefix tokens that steer a frozen model turn by turn.

They are imported when they are first used: a name alone needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.planner.cloning import CloneConfig, clone
    from telic.planner.control import PlannerControl
    from telic.planner.dialogue_acts import distil, load_acts
    from telic.planner.gradient import Example
    from telic.planner.planner import Planner, PlannerShape
    from telic.planner.saving import from_pretrained, save_pretrained
    from telic.planner.training import TrainRun, train

__all__ = [
    "CloneConfig",
    "Example",
    "Planner",
    "PlannerControl",
    "PlannerShape",
    "TrainRun",
    "clone",
    "distil",
    "from_pretrained",
    "load_acts",
    "save_pretrained",
    "train",
]

__getattr__ = imports(
    __name__,
    {
        "CloneConfig": "telic.planner.cloning",
        "Example": "telic.planner.gradient",
        "Planner": "telic.planner.planner",
        "PlannerShape": "telic.planner.planner",
        "PlannerControl": "telic.planner.control",
        "TrainRun": "telic.planner.training",
        "clone": "telic.planner.cloning",
        "distil": "telic.planner.dialogue_acts",
        "from_pretrained": "telic.planner.saving",
        "load_acts": "telic.planner.dialogue_acts",
        "save_pretrained": "telic.planner.saving",
        "train": "telic.planner.training",
    },
)
