"""Untrained planners for tiny models."""

from __future__ import annotations

from typing import Any

import torch

from telic.models.local import LocalModel
from telic.planner.control import PlannerControl
from telic.planner.networks import Actor
from telic.planner.planner import Planner
from telic.planner.standardise import Standardise

__all__ = ["ACTS", "act_planner_of", "acts_of", "control_of", "planner_of", "trained"]

ACTS = ("ask", "offer", "close")


def planner_of(model: LocalModel, **options: Any) -> Planner:
    return Planner.new(model, **{"action_size": 4, "seed": 1, **options})


def control_of(model: LocalModel, *, sigma: float = 0.0, **options: Any) -> PlannerControl:
    return PlannerControl(planner=planner_of(model, **options), sigma=sigma)


def acts_of(model: LocalModel, tokens: int = 2) -> dict[str, torch.Tensor]:
    drawn = torch.randn(len(ACTS), tokens, model.hidden_size, generator=torch.Generator().manual_seed(5))
    return dict(zip(ACTS, drawn, strict=True))


def act_planner_of(model: LocalModel, *, tokens: int = 2, **options: Any) -> Planner:
    return planner_of(model, acts=acts_of(model, tokens), **options)


def trained(planner: Planner) -> Planner:
    """With a residual network, and no parameter at its initial value."""
    drawn = torch.Generator().manual_seed(9)
    size = planner.shape.hidden_size
    actor = Actor(size, planner.shape.action_size, 8, bound=0.7, generator=drawn)
    standardise = Standardise.fit(torch.randn(50, size, generator=drawn) * 3 + 1)
    return planner.with_residual(actor, standardise)
