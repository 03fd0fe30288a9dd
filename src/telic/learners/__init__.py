"""Learning from logged conversations: what turns labelled conversations into a new version of a chatbot.

Names are imported when they are first used, so that importing the package loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.learners.config import PlannerLearningConfig
    from telic.learners.influence import InfluenceReport, cap_influence
    from telic.learners.planning import learn_planner
    from telic.learners.result import Learned

__all__ = ["InfluenceReport", "Learned", "PlannerLearningConfig", "cap_influence", "learn_planner"]

__getattr__ = imports(
    __name__,
    {
        "InfluenceReport": "telic.learners.influence",
        "Learned": "telic.learners.result",
        "PlannerLearningConfig": "telic.learners.config",
        "cap_influence": "telic.learners.influence",
        "learn_planner": "telic.learners.planning",
    },
)
