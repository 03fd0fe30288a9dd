"""Results by what the instructions of a bank demand of a reply."""

from __future__ import annotations

from collections.abc import Sequence

from telic.episodes import Episode
from telic.stability.bank import DEMANDS
from telic.stability.curves import CurvePoint, curve_of
from telic.stability.scores import numbered_branches

__all__ = ["curves_by_demand", "demands_of", "with_demand"]


def demands_of(episodes: Sequence[Episode]) -> list[str]:
    """List the demands on the sides of the dialogues, in the order of `DEMANDS`; none where no bank was played."""
    found = {side.get("demand") for episode in episodes for side in episode.roles.values()}
    return [demand for demand in DEMANDS if demand in found]


def with_demand(episodes: Sequence[Episode], demand: str) -> list[Episode]:
    """Keep only the branches of the sides whose instruction has this demand."""
    return [
        episode.model_copy(
            update={"branches": [b for b in episode.branches if episode.roles.get(b.role, {}).get("demand") == demand]}
        )
        for episode in episodes
    ]


def curves_by_demand(episodes: Sequence[Episode], resamples: int, seed: int) -> dict[str, list[CurvePoint]]:
    """Compute the stability curve for each demand."""
    return {
        demand: curve_of(numbered_branches(with_demand(episodes, demand)), resamples, seed)
        for demand in demands_of(episodes)
    }
