"""Attention to the system prompt over the rounds of a dialogue, and its correlation with stability."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from telic.episodes import Episode
from telic.statistics import Interval, bootstrap_mean, bootstrap_ratio, correlation, mean

__all__ = ["Correlation", "Decay", "attention_decay", "correlate"]

Floats = npt.NDArray[np.float64]
ReadingPlace = Literal["trunk", "probes"]
SideKey = tuple[int, str]
"""Number of the dialogue, role."""
ByRound = dict[int, float]

READING = "attention"


class Decay(BaseModel):
    """Attention mass on the system prompt, by round and layer, of one role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    where: ReadingPlace
    """Where it was read: while the role spoke in the dialogue (`trunk`), or while it answered probes."""
    rounds: list[int]
    layers: list[list[float | None]]
    """Mass by round (rows) and layer (columns): mean over dialogues."""
    mass: list[Interval]
    """Mean over layers, by round; `n` counts dialogues."""
    relative: list[Interval]
    """Mass relative to that of the first round, over the dialogues that have both."""
    missing: int = 0
    """Readings left out: not a list of numbers, or with another number of layers than most."""

    @property
    def title(self) -> str:
        """The role, and where its attention was read."""
        return f"{self.role}, {'in the dialogue' if self.where == 'trunk' else 'on probes'}"


class Correlation(BaseModel):
    """Pearson's correlation of attention with stability: does one fall where the other falls?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: ReadingPlace
    """Where attention was read."""
    between: Interval
    """Over dialogues: relative change of attention, first to last round, with change of stability."""
    within: Interval
    """Over rounds, each side centred on its own mean; dialogues are resampled. Anything else that changes over the
    rounds contributes too, so that it does not show that one causes the other."""


class _RoleReadings:
    """The readings of one role, in the dialogue or on probes, by dialogue and round."""

    def __init__(self) -> None:
        self.readings: defaultdict[int, defaultdict[int, list[Floats]]] = defaultdict(lambda: defaultdict(list))
        self.missing = 0

    def add(self, dialogue: int, round_: int, reading: Any) -> None:
        vector = _vector(reading)
        if vector is None:
            self.missing += 1
        else:
            self.readings[dialogue][round_].append(vector)

    def average(self) -> tuple[dict[int, dict[int, Floats]], int]:
        """Average the readings of each round and dialogue.

        Returns:
            The means `[layers]` by round and dialogue, and the number of readings left out because they have another
            number of layers than most.
        """
        lengths = Counter(
            len(vector) for rounds in self.readings.values() for found in rounds.values() for vector in found
        )
        if not lengths:
            return {}, 0
        usual = lengths.most_common(1)[0][0]
        by_round: defaultdict[int, dict[int, Floats]] = defaultdict(dict)
        for dialogue, rounds in self.readings.items():
            for round_, found in rounds.items():
                kept = [vector for vector in found if len(vector) == usual]
                if kept:
                    by_round[round_][dialogue] = np.array(kept).mean(axis=0)
        return dict(sorted(by_round.items())), lengths.total() - lengths[usual]


def attention_decay(episodes: Sequence[Episode], *, resamples: int, seed: int) -> list[Decay]:
    """Compute the decay of every role, in the dialogue and on probes, as far as attention was read."""
    decays = []
    for (where, role), series in _collect_readings(episodes).items():
        by_round, left_out = series.average()
        if not by_round:
            continue
        masses = [{dialogue: _over_layers(vector) for dialogue, vector in now.items()} for now in by_round.values()]
        decay = Decay(
            role=role,
            where=where,
            rounds=list(by_round),
            layers=[_layer_means(list(now.values())) for now in by_round.values()],
            mass=[bootstrap_mean(list(now.values()), resamples=resamples, seed=seed, bounds=(0, 1)) for now in masses],
            relative=[_relative(now, masses[0], resamples, seed) for now in masses],
            missing=series.missing + left_out,
        )
        decays.append(decay)
    return sorted(decays, key=lambda decay: (decay.where != "trunk", decay.role))


def _relative(now: dict[int, float], first: dict[int, float], resamples: int, seed: int) -> Interval:
    both = [dialogue for dialogue in now if dialogue in first]
    return bootstrap_ratio(
        [now[dialogue] for dialogue in both],
        [first[dialogue] for dialogue in both],
        resamples=resamples,
        seed=seed,
    )


def correlate(
    episodes: Sequence[Episode], stability: Mapping[SideKey, ByRound], *, resamples: int, seed: int
) -> Correlation | None:
    """Correlate attention with `stability`, each side's mean score by round; None if attention was not read.

    Attention on probes is preferred to that in the dialogue: it was read at the very answers that were scored.
    """
    series = _collect_readings(episodes)
    where: ReadingPlace = "probes" if any(place == "probes" for place, _ in series) else "trunk"
    attention: defaultdict[SideKey, ByRound] = defaultdict(dict)
    for (place, role), found in series.items():
        if place == where:
            for round_, by_dialogue in found.average()[0].items():
                for dialogue, vector in by_dialogue.items():
                    attention[dialogue, role][round_] = _over_layers(vector)
    if not attention:
        return None
    return Correlation(
        where=where,
        between=_between(attention, stability, resamples=resamples, seed=seed),
        within=_within(attention, stability, resamples=resamples, seed=seed),
    )


def _between(
    attention: Mapping[SideKey, ByRound], stability: Mapping[SideKey, ByRound], *, resamples: int, seed: int
) -> Interval:
    changes: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for side, masses in attention.items():
        scores = stability.get(side, {})
        common = masses.keys() & scores.keys()
        if not common:
            continue
        first, start, last = min(masses), min(scores), max(common)
        if last > first and last > start and masses[first] > 0:
            changes[side[0]].append((masses[last] / masses[first] - 1, scores[last] - scores[start]))
    x = [mean(change for change, _ in sides) for sides in changes.values()]
    y = [mean(change for _, change in sides) for sides in changes.values()]
    return correlation(x, y, resamples=resamples, seed=seed)


def _within(
    attention: Mapping[SideKey, ByRound], stability: Mapping[SideKey, ByRound], *, resamples: int, seed: int
) -> Interval:
    x, y, sides = [], [], []
    for side, masses in attention.items():
        first = masses[min(masses)]
        for round_ in sorted(masses.keys() & stability.get(side, {}).keys()):
            if first > 0:
                x.append(masses[round_] / first)
                y.append(stability[side][round_])
                sides.append(side)
    dialogues = [dialogue for dialogue, _ in sides]
    return correlation(x, y, dialogues, within=sides, resamples=resamples, seed=seed)


def _collect_readings(episodes: Sequence[Episode]) -> dict[tuple[ReadingPlace, str], _RoleReadings]:
    """Collect the readings of every role, in the dialogue and on probes."""
    series: defaultdict[tuple[ReadingPlace, str], _RoleReadings] = defaultdict(_RoleReadings)
    for dialogue, episode in enumerate(episodes):
        for turn in episode.turns:
            if READING in turn.readings:
                series["trunk", turn.role].add(dialogue, turn.round, turn.readings[READING])
        for branch in episode.branches:
            for answer in branch.answers:
                if READING in answer.readings:
                    series["probes", branch.role].add(dialogue, branch.round, answer.readings[READING])
    return dict(series)


def _vector(reading: Any) -> Floats | None:
    """Convert a reading to `[layers]`, NaN where a layer has none; None if it is not a list with a number in it."""
    if not isinstance(reading, list | tuple):
        return None
    if any(not (value is None or isinstance(value, int | float)) for value in reading):
        return None
    vector = np.array([np.nan if value is None else value for value in reading], dtype=np.float64)
    vector[~np.isfinite(vector)] = np.nan
    return None if np.isnan(vector).all() else vector


def _over_layers(vector: Floats) -> float:
    return float(np.nanmean(vector))


def _layer_means(vectors: list[Floats]) -> list[float | None]:
    return [mean(float(x) for x in layer if not np.isnan(x)) for layer in np.array(vectors).T]
