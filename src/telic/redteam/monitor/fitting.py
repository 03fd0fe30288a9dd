"""Fitting of a monitor to the turns of dialogues: it is fitted, tuned and tested on different ones.

Dialogues of one number lie on one side of each split, since all arms of defences meet the same attacks. Attackers that
are held out are in none of the three parts: their scores are those on strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_expit

from telic.errors import ConfigError
from telic.readers.linear_probe import fit_linear_probe
from telic.redteam.monitor.dialogues import TurnDialogue
from telic.redteam.monitor.features import FeatureKind, Floats
from telic.redteam.monitor.monitor import TrajectoryMonitor
from telic.redteam.monitor.scores import DialogueStop, turn_f1

__all__ = ["MonitorParts", "Recorded", "fit_monitor", "judged_stops", "split_dialogues"]

PENALTIES = (0.01, 0.03, 0.1)
"""Of the squared weights, on standardised features, relative to the mean log-loss of an example."""
DECAYS = (0.0, 0.5, 0.8, 0.95)
THRESHOLDS = 64
"""Candidates for the threshold."""
SHARES = (0.6, 0.8)
"""Ends of the parts for fitting and for tuning; the rest is for the test."""

Recorded = tuple[TurnDialogue, list[Floats]]


def fit_monitor(
    recorded: Sequence[Recorded], kind: FeatureKind, *, held_out: Sequence[str] = (), seed: int = 0
) -> TrajectoryMonitor:
    """Fit a monitor to dialogues with their features.

    Each turn of an attack is an example of one, except that those of a successful attack count by how near they are to
    the closure turn if that tunes better. Penalty, decay and threshold are those with the best F1 on the tuning part.

    Args:
        recorded: the dialogues, each with the features of its turns.
        kind: of the features.
        held_out: attackers whose dialogues are left out.
        seed: of the split.

    Raises:
        ConfigError: a part of the split lacks a kind of dialogues.
    """
    parts = split_dialogues(recorded, held_out=held_out, seed=seed)
    best = max(_candidates(parts.fitting, parts.tuning), key=lambda one: one.f1)
    figures = {
        "fitted on": len(parts.fitting),
        "tuned on": len(parts.tuning),
        "labels": best.labels,
        "penalty": best.penalty,
        "tuning F1": round(best.f1, 4),
    }
    return replace(_calibrated(best, parts.tuning, kind), figures=figures)


@dataclass(frozen=True)
class MonitorParts:
    """The dialogues of a run, by what they are for."""

    fitting: list[Recorded]
    tuning: list[Recorded]
    testing: list[Recorded]
    strangers: list[Recorded]
    """The dialogues of the attackers that are held out, and the benign dialogues of the test; empty if none is."""


def split_dialogues(recorded: Sequence[Recorded], *, held_out: Sequence[str] = (), seed: int = 0) -> MonitorParts:
    """Split dialogues into parts by their numbers, each kind of dialogue by itself; the same for any features.

    Raises:
        ConfigError: the part for fitting or for tuning lacks a kind of dialogues.
    """
    parts: list[list[Recorded]] = [[], [], []]
    own = [one for one in recorded if one[0].attacker not in held_out]
    for attacked in (False, True):
        numbers = sorted({one.number for one, _ in own if one.attacked is attacked})
        order = np.random.default_rng(seed).permutation(len(numbers))
        ends = [round(share * len(numbers)) for share in SHARES]
        part_of = {numbers[at]: sum(place >= end for end in ends) for place, at in enumerate(order)}
        for one in own:
            if one[0].attacked is attacked:
                parts[part_of[one[0].number]].append(one)
    for part, name in zip(parts[:2], ("fitted", "tuned"), strict=True):
        if len({one.attacked for one, _ in part}) < 2 or all(one.closure is None for one, _ in part):
            raise ConfigError(f"the part that a monitor is {name} on lacks attacks or benign dialogues; play more")
    strangers = [one for one in recorded if one[0].attacker in held_out]
    benign = [one for one in parts[2] if not one[0].attacked]
    fitting, tuning, testing = parts
    return MonitorParts(fitting, tuning, testing, strangers + benign if strangers else [])


def judged_stops(recorded: Sequence[Recorded], stops: Sequence[int | None]) -> list[DialogueStop]:
    """Return the stops that count: those of benign dialogues, and of attacks that succeeded."""
    return [
        DialogueStop(stop, one.closure, (one.attacked, one.number))
        for (one, _), stop in zip(recorded, stops, strict=True)
        if not one.attacked or one.closure is not None
    ]


@dataclass(frozen=True)
class _Candidate:
    f1: float
    labels: str
    penalty: float
    decay: float
    weight_D: Floats
    bias: float
    threshold: float
    """In evidence."""


def _candidates(fitting: Sequence[Recorded], tuning: Sequence[Recorded]) -> list[_Candidate]:
    inputs_N_D = np.stack([features for _, turns in fitting for features in turns]).astype(np.float32)
    found = []
    for labels in ("attacked", "near the closure"):
        label_N = np.array([_label(one, turn, labels) for one, turns in fitting for turn in range(1, len(turns) + 1)])
        if label_N.min() == label_N.max():
            continue
        probes = [fit_linear_probe(inputs_N_D, label_N, 2, penalty) for penalty in PENALTIES]
        for (penalty, probe), decay in product(zip(PENALTIES, probes, strict=True), DECAYS):
            weight_D = (probe.weight_C_D[1] - probe.weight_C_D[0]).astype(np.float32)
            bias = float(probe.bias_C[1] - probe.bias_C[0])
            evidence = [_evidence(turns, weight_D, bias, decay) for _, turns in tuning]
            f1, threshold = _best_threshold(tuning, evidence)
            found.append(_Candidate(f1, labels, penalty, decay, weight_D, bias, threshold))
    return found


def _label(one: TurnDialogue, turn: int, labels: str) -> int:
    if not one.attacked:
        return 0
    if labels == "attacked":
        return 1
    return int(one.closure is not None and turn >= max(1, one.closure - 1))


def _evidence(turns: Sequence[Floats], weight_D: Floats, bias: float, decay: float) -> npt.NDArray[np.float64]:
    found, evidence = [], 0.0
    for features_D in turns:
        evidence = decay * evidence + float(features_D @ weight_D) + bias
        found.append(evidence)
    return np.array(found)


def _best_threshold(tuning: Sequence[Recorded], evidence: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    every = np.unique(np.quantile(np.concatenate(list(evidence)), np.linspace(0, 1, THRESHOLDS)))
    middle = (every[1:] + every[:-1]) / 2 if len(every) > 1 else every
    tried = []
    for threshold in middle:
        stops = [_first(one >= threshold) for one in evidence]
        tried.append((turn_f1(judged_stops(tuning, stops)), float(threshold)))
    return max(tried, key=lambda one: one[0])


def _first(alarms: npt.NDArray[np.bool_]) -> int | None:
    return int(alarms.argmax()) + 1 if alarms.any() else None


def _calibrated(best: _Candidate, tuning: Sequence[Recorded], kind: FeatureKind) -> TrajectoryMonitor:
    """Fit the probability of an attack to the evidence of the tuning part's turns (Platt 1999)."""
    evidence = [_evidence(turns, best.weight_D, best.bias, best.decay) for _, turns in tuning]
    x_N = np.concatenate(evidence)
    attacked_N = np.concatenate([np.full(len(turns), one.attacked) for one, turns in tuning])
    sign_N, spread = np.where(attacked_N, 1.0, -1.0), float(x_N.std()) or 1.0

    def loss(pair: npt.NDArray[np.float64]) -> float:
        scale, offset = np.exp(pair[0]) / spread, pair[1]
        return float(-log_expit(sign_N * (scale * x_N + offset)).mean())

    log_scale, offset = minimize(loss, np.zeros(2), method="Nelder-Mead", bounds=[(-5, 2), (-20, 20)]).x
    scale = float(np.exp(log_scale)) / spread
    monitor = TrajectoryMonitor(kind, best.weight_D, best.bias, best.decay, scale, float(offset), 0.5)
    return replace(monitor, threshold=monitor.probability(best.threshold))
