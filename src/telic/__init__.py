"""Telic: put a chat model to work on a purpose, and measure how well it holds to it.

The names below are imported when they are first used: `import telic` loads neither torch nor anything heavy.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.agents import Agent
    from telic.agents.model_player import ModelPlayer
    from telic.comparison import ComparisonConfig, ComparisonRun, hold
    from telic.dialogue import Dialogue, Message
    from telic.episodes import Episode
    from telic.errors import TelicError
    from telic.models import (
        Control,
        FakeModel,
        LocalModel,
        Model,
        RemoteModel,
        Reply,
        Request,
        Sampling,
        ScriptedModel,
        Session,
        load,
    )
    from telic.planner import Planner, train
    from telic.purpose import Purpose
    from telic.redteam import attack
    from telic.rollouts import PlayRun, play
    from telic.stability import Bank, MeasureConfig, StabilityRun, measure

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Bank",
    "ComparisonConfig",
    "ComparisonRun",
    "Control",
    "Dialogue",
    "Episode",
    "FakeModel",
    "LocalModel",
    "MeasureConfig",
    "Message",
    "Model",
    "ModelPlayer",
    "Planner",
    "PlayRun",
    "Purpose",
    "RemoteModel",
    "Reply",
    "Request",
    "Sampling",
    "ScriptedModel",
    "Session",
    "StabilityRun",
    "TelicError",
    "attack",
    "hold",
    "load",
    "measure",
    "play",
    "train",
]

logging.getLogger("telic").addHandler(logging.NullHandler())


_HOMES = {
    "Agent": "telic.agents",
    "Bank": "telic.stability",
    "ComparisonConfig": "telic.comparison",
    "ComparisonRun": "telic.comparison",
    "Control": "telic.models",
    "Dialogue": "telic.dialogue",
    "Episode": "telic.episodes",
    "FakeModel": "telic.models",
    "LocalModel": "telic.models",
    "MeasureConfig": "telic.stability",
    "Message": "telic.dialogue",
    "Model": "telic.models",
    "ModelPlayer": "telic.agents.model_player",
    "Planner": "telic.planner",
    "PlayRun": "telic.rollouts",
    "Purpose": "telic.purpose",
    "RemoteModel": "telic.models",
    "Reply": "telic.models",
    "Request": "telic.models",
    "Sampling": "telic.models",
    "ScriptedModel": "telic.models",
    "Session": "telic.models",
    "StabilityRun": "telic.stability",
    "TelicError": "telic.errors",
    "attack": "telic.redteam",
    "hold": "telic.comparison",
    "load": "telic.models",
    "measure": "telic.stability",
    "play": "telic.rollouts",
    "train": "telic.planner",
}

__getattr__ = imports(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
