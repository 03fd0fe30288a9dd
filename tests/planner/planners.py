"""Untrained planners for tiny models, and utterances to learn from."""

from __future__ import annotations

from typing import Any

import torch

from telic.dialogue import Dialogue, Message
from telic.models.local import LocalModel
from telic.planner.control import PlannerControl
from telic.planner.gradient import UtteranceExample
from telic.planner.networks import Actor
from telic.planner.planner import Planner
from telic.planner.standardise import Standardise
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM

__all__ = ["ACTS", "act_planner_of", "acts_of", "control_of", "examples", "messages", "planner_of", "trained"]

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


def messages(user: str, system: str | None = SYSTEM) -> tuple[Message, ...]:
    return tuple(Dialogue().with_system(system).add("user", user))


def examples() -> list[UtteranceExample]:
    return [
        UtteranceExample(messages(SHORT), "In May, with whom?"),
        UtteranceExample(messages(LONG), "What is your name?", ends=False),
        UtteranceExample(messages(MIDDLE, None), "Hello!"),
        UtteranceExample(messages(LONG), "Never quote a price. Where would you like to go, and with whom?"),
    ]
