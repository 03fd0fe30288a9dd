"""A planner that was trained to attack: dialogue action tokens steer the mind's free talk (arXiv 2406.11978)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from telic.errors import ConfigError
from telic.models import Control, Request
from telic.models.compatibility import refuse_unsupported
from telic.redteam.attackers.base import AttackBrief, Attacker, AttackMind, Strategy
from telic.redteam.attackers.talk import FreeTalker
from telic.steering import build_control

__all__ = ["PlannerTalk"]


@dataclass(frozen=True)
class PlannerTalk(Strategy):
    """The mind talks as in `talk`, under the planner."""

    path: str = ""
    """Folder of the planner, as `telic train` has saved it."""

    name: ClassVar[str] = "planner"
    needs_mind: ClassVar[bool] = True

    def check(self, mind: AttackMind | None) -> None:
        """Load the planner, and refuse a model that it was not trained for."""
        super().check(mind)
        if not self.path:
            raise ConfigError("attacker 'planner': path is empty; expected the folder of a trained planner")
        assert mind is not None
        refuse_unsupported(mind.model, [Request((), controls=(_load(self.path),))])

    def join(self, brief: AttackBrief, mind: AttackMind | None = None) -> Attacker:
        """Take part in an episode."""
        assert mind is not None, "see `check`"
        return FreeTalker(brief, replace(mind, controls=(*mind.controls, _load(self.path))))


@lru_cache
def _load(path: str) -> Control:
    return build_control({"name": "planner", "path": path})
