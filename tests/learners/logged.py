"""Conversations as a server logs them, with users who like one act of a planner and not another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch

from telic.episodes import Episode, Turn
from telic.feedback import Labeller
from telic.models.local import LocalModel
from telic.planner import Planner, save_planner
from telic.purpose import Purpose
from tests.feedback.dialogues import START
from tests.planner.planners import ACTS, act_planner_of

__all__ = ["PRAISE", "conversations", "labelled", "purpose_with", "uniform_planner"]

PRAISE = ("Great, thank you!", "Perfect, thanks.", "That is very helpful, thank you.")
BLAME = ("That's wrong.", "No, that is useless.", "This is terrible.")
SAID = {"ask": "Where would you like to go?", "offer": "The Grand Hotel is nice.", "close": "Goodbye."}
LIKED = {"ask": 0.9, "offer": 0.2, "close": 0.2}
"""How often users praise each act; otherwise they blame it."""


def uniform_planner(model: LocalModel) -> Planner:
    planner = act_planner_of(model, plays="drawn", remembers=True, width=8)
    for parameter in list(planner.policy.clone.parameters())[-2:]:
        parameter.data.zero_()
    return planner


def conversations(
    size: int,
    n: int = 80,
    *,
    shares: Sequence[float] = (1 / 3, 1 / 3, 1 / 3),
    liked: dict[str, float] | None = None,
    seed: int = 0,
    version: str = "v1",
    model: str | None = None,
    users: int = 40,
) -> Iterator[Episode]:
    """Conversations of two replies, whose acts are drawn with these shares; states of this size are noise."""
    draw, drawn = Random(seed), torch.Generator().manual_seed(seed)
    for number in range(n):
        counts, turns = [0.0] * len(ACTS), list[Turn]()
        origin: dict[str, Any] = {"setup": version}
        for round_ in (1, 2):
            act = draw.choices(range(len(ACTS)), shares)[0]
            name = ACTS[act]
            state = [*torch.randn(size, generator=drawn).tolist(), *counts]
            choice = {"state": state, "action": [float(act == k) for k in range(len(ACTS))], "act": name}
            heard = "I want to get away." if round_ == 1 else turns[-1].text
            if round_ == 1:
                turns.append(Turn(role="user", round=1, text=heard))
            planner = {**choice, "logprob": math.log(shares[act])}
            reply = Turn(role="assistant", round=round_, text=SAID[name], origin={**origin, "planner": planner})
            answer = draw.choice(PRAISE if draw.random() < (liked or LIKED)[name] else BLAME)
            turns += [reply, Turn(role="user", round=round_ + 1, text=answer)]
            counts[act] += 1
        for place, turn in enumerate(turns):
            turn.origin["time"] = START + 1000 * number + place
        setups = {version: {"model": model} if model else {}}
        roles: dict[str, dict[str, Any]] = {"assistant": {"system": "You are Mia."}, "user": {}}
        metadata = {"user": f"user {draw.randrange(users)}", "setups": setups}
        yield Episode(id=f"{version}-{number}", kind="served", seed=0, roles=roles, turns=turns, metadata=metadata)


def labelled(*sources: Iterator[Episode]) -> list[Episode]:
    return [episode for source in sources for episode in Labeller().label_all(source)]


def purpose_with(planner: Planner | None, model: LocalModel, folder: Path) -> Purpose:
    purpose = Purpose.from_text('name = "travel"\nsystem = "You are Mia."\n', "travel.toml")
    if planner is None:
        return purpose
    save_planner(planner, folder, model=model)
    return purpose.model_copy(update={"planner": {"path": str(folder), "epsilon": 0.1}})
