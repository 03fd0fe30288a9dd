"""Arms of a comparison: the same dialogues, played under every control in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from telic.episodes import Episode
from telic.models import Control
from telic.stability.curves import areas_by_id
from telic.stability.plan import DialoguePlan
from telic.statistics import PairedDifference, paired_difference

__all__ = ["Arm", "compare", "of_arm", "plan_arms"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: no control, or a control at one strength."""

    name: str
    """Unique among the arms: part of its episodes' ids."""
    controls: tuple[Control, ...] = ()


def plan_arms(
    stage: str, arms: Sequence[Arm], plan: Callable[[Sequence[Control]], list[DialoguePlan]]
) -> list[DialoguePlan]:
    """Plan the same dialogues for every arm, with the same seeds.

    They are ordered by dialogue, so that a batch holds all arms.

    Args:
        stage: what the ids start with.
        arms: what to compare.
        plan: plans the dialogues under given controls.
    """
    planned = [
        [replace(one, id=_id(stage, arm, one.id), group=f"{stage}/{one.id}") for one in plan(arm.controls)]
        for arm in arms
    ]
    return [dialogue for same in zip(*planned, strict=True) for dialogue in same]


def of_arm(episodes: Iterable[Episode], stage: str, arm: Arm) -> list[Episode]:
    """Select the episodes of one arm, in the order of their dialogues."""
    prefix = _id(stage, arm, "")
    return sorted((e for e in episodes if e.id.startswith(prefix)), key=lambda episode: episode.id)


def compare(
    episodes: Sequence[Episode],
    stage: str,
    one: Arm,
    other: Arm,
    *,
    by: Callable[[Sequence[Episode]], Mapping[str, float | None]] = areas_by_id,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Compute the difference of two arms, `one - other`, paired over dialogues.

    Args:
        episodes: those of all arms.
        stage: whose episodes count.
        one: an arm.
        other: another one.
        by: gives the value of each episode, by its id; by default the area under the stability curve.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    found = [
        {name.rpartition("/")[2]: value for name, value in by(of_arm(episodes, stage, arm)).items()}
        for arm in (one, other)
    ]
    both = sorted(found[0].keys() & found[1].keys())
    return paired_difference(
        [found[0][name] for name in both],
        [found[1][name] for name in both],
        resamples=resamples,
        seed=seed,
        bounds=(-1, 1),
    )


def _id(stage: str, arm: Arm, dialogue: str) -> str:
    return f"{stage}/{arm.name}/{dialogue}"
