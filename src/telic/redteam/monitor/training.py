"""Training of a monitor from the dialogues of an attack: fitted, tuned, calibrated and tested on different ones.

Dialogues of one number lie on one side of each split, since all arms of defences meet the same attacks. Attackers that
are held out are in none of the three parts: their scores are those on strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_expit

from telic.errors import ConfigError
from telic.models import Model, load
from telic.readers.linear_probe import fit_linear_probe
from telic.redteam.monitor.dialogues import TurnDialogue, read_attack_dialogues, record_features
from telic.redteam.monitor.features import FeatureKind, Floats
from telic.redteam.monitor.monitor import TrajectoryMonitor, save_monitor
from telic.redteam.monitor.scores import TurnScores, score_stops, turn_f1
from telic.steering.saving import Origin

__all__ = ["fit_monitor", "monitor_scores", "train_monitor"]

PENALTIES = (0.01, 0.03, 0.1)
"""Of the squared weights, on standardised features, relative to the mean log-loss of an example."""
DECAYS = (0.0, 0.5, 0.8, 0.95)
THRESHOLDS = 64
"""Candidates for the threshold."""
LEAST = 8
"""Least number of dialogues of each kind."""
SHARES = (0.6, 0.8)
"""Ends of the parts for fitting and for tuning; the rest is for the test."""

Recorded = tuple[TurnDialogue, list[Floats]]


def train_monitor(
    folder: str | Path,
    *,
    features: FeatureKind | None = None,
    model: Model | None = None,
    held_out: Sequence[str] = (),
    out: str | Path | None = None,
    seed: int = 0,
) -> Path:
    """Train a monitor from the episodes of a run folder of `telic attack`.

    Args:
        folder: the run folder; it needs attacks that succeeded, and benign users.
        features: the model's states, or text features; by default states if the model shows them.
        model: the model that was attacked; by default it is loaded by its name.
        held_out: attackers that it is not trained on, but tested on.
        out: where it is written; by default the folder `monitor` in the run folder.
        seed: of the split.

    Returns:
        The monitor's folder, for the defence `monitor`. Its `config.json` has the scores.

    Raises:
        ConfigError: the run has too few dialogues of a kind, or an attacker to hold out is not in it.
        ModelError: the model cannot be loaded, or cannot read a dialogue.
        RunError: the folder is no run folder.
    """
    dialogues = read_attack_dialogues(folder)
    _check_counts(dialogues, held_out)
    if model is None and features != "text":
        model = load(dialogues[0].model)
    kind: FeatureKind = features or ("state" if model is not None and "state" in model.readings else "text")
    recorded = [
        (one, turns) for one, turns in zip(dialogues, record_features(dialogues, kind, model), strict=True) if turns
    ]
    monitor = fit_monitor(recorded, kind, held_out=held_out, seed=seed)
    if kind == "state" and model is not None:
        monitor = replace(monitor, origin=Origin.of(model))
    return save_monitor(monitor, out or Path(folder) / "monitor")


def _check_counts(dialogues: Sequence[TurnDialogue], held_out: Sequence[str]) -> None:
    known = {one.attacker for one in dialogues}
    for name in held_out:
        if name not in known:
            raise ConfigError(f"held_out: the run has no attacker {name!r}; it has {', '.join(sorted(known))}")
    trained = [one for one in dialogues if one.attacker not in held_out]
    counts = {
        "benign dialogues": sum(not one.attacked for one in trained),
        "attacks that succeeded": sum(one.closure is not None for one in trained),
    }
    for what, count in counts.items():
        if count < LEAST:
            raise ConfigError(
                f"a monitor needs {LEAST} {what} or more, but the run has {count}; play more dialogues, or raise "
                "the number of rounds"
            )


def fit_monitor(
    recorded: Sequence[Recorded], kind: FeatureKind, *, held_out: Sequence[str] = (), seed: int = 0
) -> TrajectoryMonitor:
    """Fit a monitor to dialogues with their features; its `figures` has the scores of the test.

    Each turn of an attack is an example of one, except that those of a successful attack count by how near they are to
    the closure turn if that tunes better. Penalty, decay and threshold are those with the best F1 on the tuning part.
    """
    own = [one for one in recorded if one[0].attacker not in held_out]
    fitting, tuning, testing = _split(own, seed)
    best = max(_candidates(fitting, tuning), key=lambda one: one.f1)
    monitor = _calibrated(best, tuning, kind)
    strangers = [one for one in recorded if one[0].attacker in held_out]
    benign = [one for one in testing if not one[0].attacked]
    figures: dict[str, Any] = {
        "fitted on": len(fitting),
        "tuned on": len(tuning),
        "labels": best.labels,
        "penalty": best.penalty,
        "tuning F1": round(best.f1, 4),
        "test": _figures(monitor_scores(monitor, testing)),
    }
    if strangers:
        figures["held out"] = {"attackers": sorted(held_out), **_figures(monitor_scores(monitor, strangers + benign))}
    return replace(monitor, figures=figures)


def monitor_scores(monitor: TrajectoryMonitor, recorded: Sequence[Recorded]) -> TurnScores | None:
    """Score a monitor on dialogues; None if there are no benign ones, or no attack succeeded."""
    stops = [(one, monitor.stop(turns)) for one, turns in recorded]
    benign = [stop for one, stop in stops if not one.attacked]
    attacks = [(stop, one.closure) for one, stop in stops if one.closure is not None]
    return score_stops(benign, attacks) if benign and attacks else None


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


def _split(recorded: Sequence[Recorded], seed: int) -> list[list[Recorded]]:
    """Split into three parts by the dialogues' numbers, each kind of dialogue by itself."""
    parts: list[list[Recorded]] = [[], [], []]
    for attacked in (False, True):
        numbers = sorted({one.number for one, _ in recorded if one.attacked is attacked})
        order = np.random.default_rng(seed).permutation(len(numbers))
        ends = [round(share * len(numbers)) for share in SHARES]
        part_of = {numbers[at]: sum(place >= end for end in ends) for place, at in enumerate(order)}
        for one in recorded:
            if one[0].attacked is attacked:
                parts[part_of[one[0].number]].append(one)
    for part, name in zip(parts[:2], ("fitted", "tuned"), strict=True):
        if len({one.attacked for one, _ in part}) < 2 or all(one.closure is None for one, _ in part):
            raise ConfigError(f"the part that a monitor is {name} on has not both kinds of dialogues; play more")
    return parts


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
        benign = [stop for (one, _), stop in zip(tuning, stops, strict=True) if not one.attacked]
        attacks = [(stop, one.closure) for (one, _), stop in zip(tuning, stops, strict=True) if one.closure is not None]
        tried.append((turn_f1(benign, attacks), float(threshold)))
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


def _figures(scores: TurnScores | None) -> dict[str, Any]:
    if scores is None:
        return {"F1": None, "reason": "no benign dialogues, or no attack succeeded"}
    values = asdict(scores)
    f1 = values.pop("f1")
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    return {"F1": f1["value"], "low": f1["low"], "high": f1["high"], **rounded}
